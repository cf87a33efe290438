"""What a framework serves whose code for the GPU is made when it runs, by NVRTC.

python -m smoke.installed.nvrtc LIBRARY prints the architectures that a library makes code for.

Such a framework holds no code for any GPU, so what it serves is what its NVRTC makes code for. NVRTC is believed only
where it proves it: it compiles a kernel for each architecture that it names, which takes neither a GPU nor a driver.
Standard library only; NVRTC is loaded in a process of its own.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

from smoke import SUITE
from smoke.installed.facts import Library, Survey
from smoke.installed.fatbin import Code, Coverage

SECONDS = 60
KERNEL = b'extern "C" __global__ void scale(float *x, float by) { x[blockIdx.x * blockDim.x + threadIdx.x] *= by; }'


def with_run_time_code(found: Survey) -> Survey:
    """The survey with what NVRTC makes as the code of those libraries that are linked with it.

    Where any of the framework's libraries holds code, that decides, and the survey stays as it is.
    """
    if found.own_libraries:
        return found
    libraries = tuple(
        library if library.nvidia else dataclasses.replace(library, code=_made(library, found))
        for library in found.libraries
    )
    return dataclasses.replace(found, libraries=libraries)


def _made(library: Library, found: Survey) -> Coverage:
    compilers = [found.shared[name][0] for name in library.names.needed if _is_nvrtc(name) and name in found.shared]
    return Coverage(tuple(frozenset(code) for code in map(architectures, compilers) if code))


def _is_nvrtc(name: str) -> bool:
    return name.startswith("libnvrtc.so.")


def architectures(compiler: Path) -> list[Code]:
    """The architectures that this NVRTC makes PTX for; none if it does not even load.

    NVRTC is asked for the very capability of the GPU that is there: each serves its own only, as the "a" kind does.
    """
    done = subprocess.run(
        [sys.executable, "-m", "smoke.installed.nvrtc", str(compiler)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": str(SUITE.parent)},
    )
    made = json.loads(done.stdout) if done.returncode == 0 else []
    return [Code(True, *divmod(number, 10), "a") for number in made]


def compiled(nvrtc: Any) -> Iterator[int]:
    """Those of the architectures that NVRTC names for which it makes PTX, as 90 for 9.0."""
    count = ctypes.c_int(0)
    if nvrtc.nvrtcGetNumSupportedArchs(ctypes.byref(count)):
        return
    named = (ctypes.c_int * count.value)()
    if nvrtc.nvrtcGetSupportedArchs(named):
        return
    for number in named:
        if f".target sm_{number}".encode() in _ptx(nvrtc, number):
            yield number


def _ptx(nvrtc: Any, architecture: int) -> bytes:
    """The kernel's PTX; empty if it could not be compiled."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t(0)
    if nvrtc.nvrtcCreateProgram(ctypes.byref(program), KERNEL, None, 0, None, None):
        return b""
    options = (ctypes.c_char_p * 1)(f"--gpu-architecture=compute_{architecture}".encode())
    try:
        if nvrtc.nvrtcCompileProgram(program, 1, options) or nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size)):
            return b""
        text = ctypes.create_string_buffer(size.value)
        return b"" if nvrtc.nvrtcGetPTX(program, text) else text.value
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Prints the architectures that the library at a path makes code for."""
    path = (sys.argv[1:] if arguments is None else arguments)[0]
    print(json.dumps(list(compiled(ctypes.CDLL(path)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
