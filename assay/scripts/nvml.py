"""Asks NVIDIA's driver through NVML, for machines without nvidia-smi: a script that prints what that would.

A process of its own, for a driver may hang or crash whoever asks it; run as a file, so that it imports nothing of
Assay. A line per GPU: name, driver, compute capability, memory in MiB. Exit status 1 where NVML does not answer.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

LONGEST = 256


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def main() -> int:
    """Print a line per GPU; the driver's version alone where it lists none."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return 1
    if nvml.nvmlInit_v2():
        return 1
    version, count = ctypes.create_string_buffer(LONGEST), ctypes.c_uint(0)
    if nvml.nvmlSystemGetDriverVersion(version, LONGEST) or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return 1
    said = version.value.decode("utf-8", "replace")
    for index in range(count.value):
        print(_line(nvml, index, said))
    if not count.value:
        print(f"-, {said}, -, -")
    return 0


def _line(nvml: Any, index: int, version: str) -> str:
    device, name = ctypes.c_void_p(), ctypes.create_string_buffer(LONGEST)
    major, minor, memory = ctypes.c_int(0), ctypes.c_int(0), _Memory()
    if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)):
        return f"GPU {index}, {version}, -, -"
    nvml.nvmlDeviceGetName(device, name, LONGEST)
    refused = nvml.nvmlDeviceGetCudaComputeCapability(device, ctypes.byref(major), ctypes.byref(minor))
    capability = "-" if refused else f"{major.value}.{minor.value}"
    nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory))
    said = name.value.decode("utf-8", "replace").replace(",", " ")
    return f"{said or f'GPU {index}'}, {version}, {capability}, {memory.total >> 20} MiB"


if __name__ == "__main__":
    sys.exit(main())
