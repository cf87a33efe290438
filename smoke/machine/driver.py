"""Asks NVIDIA's driver what there is, through ctypes: no framework, no nvidia-smi. Standard library only.

A driver may hang or crash whoever asks it, so it is asked in a fork of this process, and waited for so long only.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import select
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Optional

from smoke.machine.host import KERNEL_MODULE

SECONDS = 20.0
LONGEST_NAME = 256
STUB = 34  # CUDA_ERROR_STUB_LIBRARY: it stands where a driver's library would, and is none
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...
# What cuInit answers when something is wrong, as far as it says what to do. From cuda.h.
REFUSALS = {
    100: "no GPU is visible",
    101: "the GPU named in CUDA_VISIBLE_DEVICES is not there",
    802: "the system is not ready: is the fabric manager running?",
    803: "the driver's library and the kernel's module are of different versions",
    804: "forward compatibility is not supported on this GPU",
    999: "an unknown error: the kernel's module may have to be loaded anew",
}
Load = Callable[[str], Any]


@dataclass(frozen=True)
class Gpu:
    """A GPU by its name; no compute capability where only NVML answered."""

    name: str
    capability: Optional[tuple[int, int]] = None


@dataclass(frozen=True)
class Driver:
    """What is known of the driver. ``kernel`` and ``version`` are the kernel module's and NVML's own words; ``cuda``
    is the CUDA that libcuda runs, as (major, minor); ``problem`` says why there are no GPUs to be used."""

    kernel: str = ""
    library: bool = False
    version: str = ""
    cuda: Optional[tuple[int, int]] = None
    gpus: tuple[Gpu, ...] = ()
    problem: str = ""


def kernel_module(proc: Path) -> str:
    """The version of the kernel's module; empty if none is loaded."""
    try:
        text = (proc / "driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(KERNEL_MODULE, text)
    return found.group(1) if found else "unknown"


def ask(proc: Path = Path("/proc"), load: Load = ctypes.CDLL, seconds: float = SECONDS) -> Driver:
    """The driver's answers, in time or not at all."""
    kernel = kernel_module(proc)
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError as why:
        os.close(reading)
        os.close(writing)
        return Driver(kernel, True, problem=f"the driver cannot be asked: no process can be started ({why.strerror})")
    if child == 0:
        _answer(writing, kernel, load)
    os.close(writing)
    try:
        text = _read(reading, seconds)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
    if text is None:  # it may hang in the kernel, where not even SIGKILL ends it: it is not waited for
        return Driver(kernel, True, problem=f"the driver does not answer within {seconds:g} s")
    status = os.waitpid(child, 0)[1]
    try:
        return _from_json(json.loads(text))
    except ValueError:
        return Driver(kernel, True, problem=f"the driver ended the process that asked it (status {status})")


def _answer(writing: int, kernel: str, load: Load) -> None:
    """In the fork; never returns. Nothing of Python's own clean-up runs: it belongs to the parent."""
    try:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        os.write(writing, json.dumps(asdict(asked(kernel, load))).encode())
    finally:
        os._exit(0)


def _read(reading: int, seconds: float) -> Optional[bytes]:
    """Everything until the other end is closed; None if nothing comes in time."""
    text = b""
    while True:
        if not select.select([reading], [], [], seconds)[0]:
            return None
        block = os.read(reading, 65536)
        if not block:
            return text
        text += block


def _from_json(data: Any) -> Driver:
    gpus = tuple(Gpu(one["name"], tuple(one["capability"]) if one["capability"] else None) for one in data["gpus"])
    return Driver(**{**data, "cuda": tuple(data["cuda"]) if data["cuda"] else None, "gpus": gpus})


def asked(kernel: str, load: Load) -> Driver:
    """Asks libcuda, and NVML for the driver's version and for what libcuda does not show."""
    version, names = _nvml(load)
    try:
        cuda = load("libcuda.so.1")
    except OSError:
        return Driver(kernel, False, version, gpus=tuple(map(Gpu, names)))
    number = ctypes.c_int(0)
    runs = (
        None if cuda.cuDriverGetVersion(ctypes.byref(number)) else (number.value // 1000, number.value % 1000 // 10)
    )
    status = cuda.cuInit(0)
    if status == STUB:
        return Driver(kernel, False, version, gpus=tuple(map(Gpu, names)))
    if status:
        why = "cuInit answers {}: {}".format(status, REFUSALS.get(status, "see cuda.h"))
        return Driver(kernel, True, version, runs, tuple(map(Gpu, names)), why)
    return Driver(kernel, True, version, runs, tuple(_gpus(cuda)))


def _gpus(cuda: Any) -> Sequence[Gpu]:
    count = ctypes.c_int(0)
    if cuda.cuDeviceGetCount(ctypes.byref(count)):
        return []
    return [_gpu(cuda, index) for index in range(count.value)]


def _gpu(cuda: Any, index: int) -> Gpu:
    device, name = ctypes.c_int(0), ctypes.create_string_buffer(LONGEST_NAME)
    values = [ctypes.c_int(0), ctypes.c_int(0)]
    if cuda.cuDeviceGet(ctypes.byref(device), index):
        return Gpu(f"GPU {index}")
    cuda.cuDeviceGetName(name, LONGEST_NAME, device)
    status = [
        cuda.cuDeviceGetAttribute(ctypes.byref(value), which, device)
        for value, which in zip(values, (_MAJOR, _MINOR))
    ]
    capability = None if any(status) else (values[0].value, values[1].value)
    return Gpu(name.value.decode("utf-8", "replace") or f"GPU {index}", capability)


def _nvml(load: Load) -> tuple[str, list[str]]:
    """The driver's version and the names of the GPUs; empty where there is no NVML, or it refuses."""
    try:
        nvml = load("libnvidia-ml.so.1")
    except OSError:
        return "", []
    if nvml.nvmlInit_v2():
        return "", []
    text, count = ctypes.create_string_buffer(LONGEST_NAME), ctypes.c_uint(0)
    version = "" if nvml.nvmlSystemGetDriverVersion(text, LONGEST_NAME) else text.value.decode("utf-8", "replace")
    names = []
    if not nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        for index in range(count.value):
            handle = ctypes.c_void_p()
            found = not nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle))
            if found and not nvml.nvmlDeviceGetName(handle, text, LONGEST_NAME):
                names.append(text.value.decode("utf-8", "replace"))
    nvml.nvmlShutdown()
    return version, names
