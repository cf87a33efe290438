"""Drivers and compute capabilities as people write them."""

from __future__ import annotations

import re

from assay.doctor.cuda import Capability, Code, Version, dotted, numbers
from assay.doctor.drivers import LINUX, WINDOWS
from assay.errors import UsageError

# 550, 550.54.14, v550, R550, 550.xx, "Driver Version: 550.54.14", nvidia-driver-550
_DRIVER = re.compile(
    r"(?:nvidia[ -])?(?:(?:driver|KMD|graphics)[ -]?)*(?:version|branch)?[ :=]*[vr]?"
    r"(\d{3}(?:\.\d{1,5}){0,2})(?:\.(?:x{1,3}|\*)){0,2}(?:-(?:open|server)){0,2}",
    re.IGNORECASE | re.ASCII,
)
_IN_A_LINE = re.compile(r"(?:driver|KMD) version\s*:\s*(\d{3}\.\d{1,5}(?:\.\d{1,5})?)\b", re.IGNORECASE | re.ASCII)
_OF_DEVICE_MANAGER = re.compile(r"\d\d\.\d{1,2}\.1(\d)\.(\d\d)(\d\d)", re.ASCII)  # 32.0.15.6094 is 560.94
_CUDA = re.compile(r"(?:cuda[ -]?(?:version)?[ :=]*|v)?(1\d)(?:\.(\d{1,2}))?(?:\.\d{1,3})?", re.IGNORECASE | re.ASCII)
_CUDA_TAG = re.compile(r"cu(1\d)(\d)", re.ASCII)


def driver(text: str) -> Version:
    """A driver's version, however it is written. Raises `UsageError` where it is none."""
    found = _IN_A_LINE.search(text) or _DRIVER.fullmatch(text.strip())
    if found and numbers(found[1]) >= (300,):
        return numbers(found[1])
    device = _OF_DEVICE_MANAGER.fullmatch(text.strip())
    if device:
        return numbers(f"{device[1]}{device[2]}.{device[3]}")
    toolkit = _CUDA.fullmatch(text.strip()) or _CUDA_TAG.fullmatch(text.strip())
    if toolkit:
        where = "Name the driver: nvidia-smi prints its number after `Driver Version:` (or `KMD Version:`)."
        came = _came_with(int(toolkit[1]), toolkit[2])
        raise UsageError(f"{text.strip()!r} is a CUDA version, and no driver has such a number", f"{where} {came}")
    raise UsageError(f"{text!r} is no driver version", "Write it as nvidia-smi does, or its branch: 550.54.14, 550.")


def _came_with(major: int, minor: str | None) -> str:
    """Which drivers a CUDA version came with; else which serve its major."""
    toolkit = (major, int(minor or 0))
    if minor and toolkit in LINUX.toolkit:
        windows = dotted(WINDOWS.toolkit[toolkit])
        return f"CUDA {dotted(toolkit)} came with driver {dotted(LINUX.toolkit[toolkit])} (Windows: {windows})."
    if major in LINUX.least:
        windows = dotted(WINDOWS.least[major])
        return f"CUDA {major} needs driver {dotted(LINUX.least[major])} (Windows: {windows}) or later."
    return ""


def capability(text: str) -> Capability:
    """A compute capability. Raises `UsageError` where it is none."""
    try:
        code = Code.parse(text)
    except ValueError:
        code = None
    if code is None or code.only:
        raise UsageError(f"{text!r} is no compute capability", "Write major and minor, such as 9.0.")
    return code.capability
