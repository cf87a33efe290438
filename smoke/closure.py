"""Loads libraries, each in a process of its own, and makes each of its version calls.

    python -m smoke.closure SECONDS < request.json

The request is {"load": [path, ...], "shared": {name: path}}; each outcome is a line of JSON on stdout. A library may
abort, hang or print as it likes: that is its own outcome. Standard library only; loads no framework.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from smoke import version_calls

SECONDS = 60
MOST_HELPED = 64
NO_DRIVER = (34, 35)  # cudaErrorStubLibrary, cudaErrorInsufficientDriver
NOT_FOUND = re.compile(r"^([^:\s]+): cannot open shared object file")


class Outcome(NamedTuple):
    """What came of one library. ``version`` and ``cuda`` are its own answers, empty where it has no such call.

    ``lacks`` is the name of a library that it needs and that is nowhere; ``helped`` counts those that were found only
    because they lie in the environment (the framework loads them first). ``crashed`` says which of its version calls
    ended the process and how: the library loaded, and whoever asks it for its version ends as well.
    """

    path: str
    loaded: bool
    why: str = ""
    lacks: str = ""
    version: str = ""
    cuda: str = ""
    helped: int = 0
    crashed: str = ""


def load_all(paths: Sequence[Path], shared: Mapping[str, Path], seconds: int = SECONDS) -> list[Outcome]:
    """Loads each of the libraries. Raises OSError or RuntimeError if the helper process itself does not work."""
    request = {"load": [str(one) for one in paths], "shared": {name: str(one) for name, one in shared.items()}}
    helper = subprocess.run(
        [sys.executable, "-m", "smoke.closure", str(seconds)],
        input=json.dumps(request).encode(),
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
    )
    if helper.returncode:
        said = helper.stderr.decode("utf-8", "replace")[-500:]
        raise RuntimeError(f"the process that loads libraries ended with {helper.returncode}: {said}")
    return [Outcome(**json.loads(line)) for line in helper.stdout.splitlines()]


def main(arguments: Sequence[str]) -> int:
    """The helper: forks once for each library, as many at a time as there are cores."""
    request = json.loads(sys.stdin.read())
    left, running = list(request["load"]), {}
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch:
        while left or running:
            while left and len(running) < cores:
                path = left.pop(0)
                out = f"{scratch}/{len(left)}"
                pid = os.fork()
                if pid == 0:
                    _child(path, request["shared"], out, int(arguments[0]))
                running[pid] = (path, out)
            pid, status = os.wait()
            print(json.dumps(_outcome(*running.pop(pid), status)._asdict()), flush=True)
    return 0


def _child(path: str, shared: Mapping[str, str], out: str, seconds: int) -> None:
    """Loads one library and ends; never returns. What it prints is kept as the explanation of an abort."""
    said = os.open(out + ".said", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(said, 1)
    os.dup2(said, 2)
    signal.alarm(seconds)

    def note(outcome: Outcome) -> None:
        Path(out).write_text(json.dumps(outcome._asdict()), encoding="utf-8")

    note(load(path, shared, note))
    os._exit(0)  # without the libraries' destructors: they are not what is checked


def _outcome(path: str, out: str, status: int) -> Outcome:
    noted = Path(out).read_text(encoding="utf-8") if Path(out).exists() else ""
    if status == 0:
        return Outcome(**json.loads(noted))
    said = Path(out + ".said").read_text(encoding="utf-8", errors="replace")[-300:].strip().replace("\n", " ")
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number == signal.SIGALRM:
        return Outcome(path, False, "loading it came to no end")
    how = f"signal {number} ({signal.Signals(number).name})" if number else f"exit code {os.WEXITSTATUS(status)}"
    if noted:  # it had loaded, and the last note names the call that was under way
        asked = Outcome(**json.loads(noted))
        return asked._replace(crashed=f"{asked.crashed}() ended the process with {how}: {said}".rstrip(": "))
    return Outcome(path, False, f"loading it ended the process with {how}: {said}".rstrip(": "))


def load(path: str, shared: Mapping[str, str], note: Callable[[Outcome], None] = lambda _: None) -> Outcome:
    """Loads a library into this process with all its functions resolved, and makes its version calls.

    ``note`` is handed, before each call, what is to be said if that call ends the process.
    """
    helped = 0
    while True:
        try:
            library = ctypes.CDLL(path, mode=os.RTLD_NOW)
            break
        except OSError as why:
            lacking = NOT_FOUND.match(str(why))
            name = lacking.group(1) if lacking else ""
            if name not in shared or helped == MOST_HELPED or not _help(shared[name], shared):
                return Outcome(path, False, str(why), lacks=name, helped=helped)
            helped += 1
    name = Path(path).name

    def asking(symbol: str) -> None:
        note(Outcome(path, True, helped=helped, crashed=symbol))

    try:
        found = Outcome(path, True, "", "", *versions(name, library, asking), helped=helped)
        version = version_calls.make(name, library, asking)
    except (VersionRefused, version_calls.Refused) as why:
        return Outcome(path, False, str(why), helped=helped)
    return found if found.version else found._replace(version=version)


def _help(path: str, shared: Mapping[str, str], depth: int = 0) -> bool:
    """Loads what another needs and cannot find by itself, as the framework's import does before it."""
    try:
        ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_GLOBAL)
    except OSError as why:
        lacking = NOT_FOUND.match(str(why))
        if lacking is None or lacking.group(1) not in shared or depth > 16:
            return False
        return _help(shared[lacking.group(1)], shared, depth + 1) and _help(path, shared, depth + 1)
    return True


class VersionRefused(Exception):
    """A library's version call reported an error."""


def versions(name: str, library: Any, asking: Callable[[str], None] = lambda _: None) -> tuple[str, str]:
    """The library's own version and the CUDA version that it was made for, in its words. Raises VersionRefused.

    ``asking`` is handed the name of each call before it is made.
    """
    version = cuda = ""
    for pattern, symbol, ask, is_cuda in CALLS:
        if re.match(pattern, name) and (is_cuda or not version):
            try:
                asking(symbol)
                answer = ask(library, symbol)
            except (AttributeError, ValueError):  # this release of the library has no such call
                continue
            version, cuda = (version, answer) if is_cuda else (answer, cuda)
    return version, cuda


def _ok(symbol: str, status: int) -> None:
    if status:
        raise VersionRefused(f"{symbol} answers with the error {status}")


def _one(library: Any, symbol: str) -> int:
    value = ctypes.c_int(-1)
    _ok(symbol, getattr(library, symbol)(ctypes.byref(value)))
    return value.value


def _runtime(library: Any, symbol: str) -> str:
    """The runtime's version. Raises ValueError where it does not tell it, as CUDA 11's does not without a driver."""
    value = ctypes.c_int(-1)
    status = getattr(library, symbol)(ctypes.byref(value))
    if status in NO_DRIVER:
        raise ValueError(symbol)
    _ok(symbol, status)
    return _cuda(value.value)


def _returned(library: Any, symbol: str) -> int:
    call = getattr(library, symbol)
    call.restype = ctypes.c_size_t
    return int(call())


def _property(library: Any, symbol: str) -> str:
    values = []
    for which in range(3):
        value = ctypes.c_int(-1)
        _ok(symbol, getattr(library, symbol)(which, ctypes.byref(value)))
        values.append(str(value.value))
    return ".".join(values)


def _pair(library: Any, symbol: str) -> str:
    major, minor = ctypes.c_int(-1), ctypes.c_int(-1)
    _ok(symbol, getattr(library, symbol)(ctypes.byref(major), ctypes.byref(minor)))
    return f"{major.value}.{minor.value}"


def _cuda(number: int) -> str:
    """13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _cudnn(number: int) -> str:
    """92600 is 9.26.0, and before 9 it was 8906 for 8.9.6."""
    unit = 10000 if number >= 90000 else 1000
    return f"{number // unit}.{number % unit // 100}.{number % 100}"


def _checked(library: Any, symbol: str) -> str:
    """A sub-library of cuDNN that only says whether it fits the others."""
    _ok(symbol, getattr(library, symbol)())
    return ""


def _constant(library: Any, symbol: str) -> str:
    """Of cuDNN 9: 0x091A00 is 9.26.0. Raises ValueError for a number of another make."""
    value = ctypes.c_uint.in_dll(library, symbol).value
    if not 9 <= value >> 16 < 100:
        raise ValueError(symbol)
    return f"{value >> 16}.{value >> 8 & 255}.{value & 255}"


def _nccl(number: int) -> str:
    unit = 10000 if number >= 10000 else 1000
    return f"{number // unit}.{number % unit // 100}.{number % 100}"


Ask = Callable[[Any, str], str]
# Which library, which call, how it answers, and whether that is the version of CUDA, not the library's own.
CALLS: tuple[tuple[str, str, Ask, bool], ...] = (
    (r"libcudart\.", "cudaRuntimeGetVersion", _runtime, True),
    (r"libcudart\.", "cudaRuntimeGetVersion", _runtime, False),
    (r"libcudnn(_graph|_ops_infer)?\.", "cudnnGetCudartVersion", lambda lib, name: _cuda(_returned(lib, name)), True),
    (r"libcudnn(_graph|_ops_infer)?\.", "cudnnGetVersion", lambda lib, name: _cudnn(_returned(lib, name)), False),
    (r"libcudnn_ops_infer", "cudnnOpsInferVersionCheck", _checked, False),  # cuDNN 8 has two parts of each
    (r"libcudnn_ops_train", "cudnnOpsTrainVersionCheck", _checked, False),
    (r"libcudnn_cnn_infer", "cudnnCnnInferVersionCheck", _checked, False),
    (r"libcudnn_cnn_train", "cudnnCnnTrainVersionCheck", _checked, False),
    (r"libcudnn_adv_infer", "cudnnAdvInferVersionCheck", _checked, False),
    (r"libcudnn_adv_train", "cudnnAdvTrainVersionCheck", _checked, False),
    (r"libcudnn_ops", "cudnnOpsVersionCheck", _checked, False),
    (r"libcudnn_cnn", "cudnnCnnVersionCheck", _checked, False),
    (r"libcudnn_adv", "cudnnAdvVersionCheck", _checked, False),
    (r"libcudnn_ext", "cudnnSubquadraticOpsVersionCheck", _checked, False),
    (r"libcudnn_ops", "cudnn_ops_infer_version", _constant, False),
    (r"libcudnn_adv", "cudnn_adv_infer_version", _constant, False),
    (r"libcublas\.", "cublasGetCudartVersion", lambda lib, name: _cuda(_returned(lib, name)), True),
    (r"libcublas\.", "cublasGetProperty", _property, False),
    (r"libcublasLt\.", "cublasLtGetCudartVersion", lambda lib, name: _cuda(_returned(lib, name)), True),
    (r"libcublasLt\.", "cublasLtGetProperty", _property, False),
    (r"libcufft\.", "cufftGetProperty", _property, False),
    (r"libcurand\.", "curandGetProperty", _property, False),
    (r"libcusolver\.", "cusolverGetProperty", _property, False),
    (r"libcusparse\.", "cusparseGetProperty", _property, False),
    (r"libcusparseLt\.", "cusparseLtGetProperty", _property, False),
    (r"libnccl\.", "ncclGetVersion", lambda lib, name: _nccl(_one(lib, name)), False),
    (r"libnvrtc\.(alt\.)?so", "nvrtcVersion", _pair, True),
    (r"libnvrtc\.(alt\.)?so", "nvrtcVersion", _pair, False),
    (r"libnvJitLink\.", "nvJitLinkVersion", _pair, True),
    (r"libnvJitLink\.", "nvJitLinkVersion", _pair, False),
)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
