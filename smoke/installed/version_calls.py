"""Version calls that only must not crash, nor be refused: they say nothing that ``loading`` needs.

A framework makes them when it starts, whether or not there is a driver: JAX asks CUPTI, for one. They are made in
processes that may crash, and so never in one that has trained. Standard library only.

NVIDIA's nvperf libraries are not asked: their call wants the number of an interface, which changes with each release.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any, NamedTuple


class Refused(Exception):
    """A library's version call reported an error."""


class Call(NamedTuple):
    """A version call: of which libraries, its name, how many numbers it fills in, and what they mean."""

    library: str
    symbol: str
    numbers: int
    version: Callable[..., str] = lambda *_: ""


def _cupti(number: int) -> str:
    """130101 is of CUDA 13.1. Up to CUDA 12 the number counts the interfaces, and names no version."""
    return f"{number // 10000}.{number % 10000 // 100}" if number >= 130000 else ""


CALLS = (
    Call(r"libcupti\.", "cuptiGetVersion", 1, _cupti),
    Call(r"libcufile\.", "cuFileGetVersion", 1),
    Call(r"libcufft\.", "cufftGetVersion", 1),
    Call(r"libcurand\.", "curandGetVersion", 1),
    Call(r"libcusolver\.", "cusolverGetVersion", 1),
    Call(r"libnccl\.", "pncclGetVersion", 1),
    Call(r"libnvvm\.", "nvvmVersion", 2),
    Call(r"libnvshmem_host\.", "nvshmem_info_get_version", 2),
    Call(r"libnvshmem_host\.", "nvshmemx_vendor_get_version_info", 3, "{}.{}.{}".format),
    Call(r"libcudnn(_graph)?\.", "cudnnGraphVersionCheck", 0),
)


def make(name: str, library: Any, asking: Callable[[str], None]) -> str:
    """Makes the calls that a library has, and gives the version that it names, if any. Raises Refused.

    ``asking`` is handed the name of each call before it is made.
    """
    version = ""
    for call in CALLS:
        function = getattr(library, call.symbol, None) if re.match(call.library, name) else None
        if function is None:
            continue
        asking(call.symbol)
        numbers = [ctypes.c_int(-1) for _ in range(call.numbers)]
        status = function(*(ctypes.byref(one) for one in numbers))
        if status:
            raise Refused(f"{call.symbol} answers with the error {status}")
        version = version or call.version(*(one.value for one in numbers))
    return version
