"""What NVIDIA promises of CUDA: the least driver of each release. Standard library only."""

from __future__ import annotations

import re

# The oldest driver for each major of the CUDA runtime, by NVIDIA's table of minor-version compatibility.
LEAST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580"}


def same(version: str, label: str) -> bool:
    """True if the version begins with the label's parts."""
    parts = label.split(".")
    return version.split(".")[: len(parts)] == parts


def least_driver(runtime: str) -> str:
    """The oldest driver that runs it; empty if that is not known."""
    major = runtime.split(".", maxsplit=1)[0]
    return LEAST_DRIVER.get(int(major), "") if major.isdigit() else ""


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, to be compared."""
    return tuple(int(one) for one in re.findall(r"\d+", version))
