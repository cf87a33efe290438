"""The version calls of CUDA libraries: what each says that it is, and for which CUDA it was made.

Standard library only. Nothing is loaded here: a library is handed in.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

NO_DRIVER = (34, 35)  # cudaErrorStubLibrary, cudaErrorInsufficientDriver


class Refused(Exception):
    """A library's version call reported an error."""


Answer = Callable[[Any, str], str]  # makes a library's call of this name; gives what it says


class Call(NamedTuple):
    """A version call.

    ``library`` is a pattern of the names of the libraries that have it. ``version``: the answer is the library's own
    version; ``cuda``: it is the CUDA that it was made for.
    """

    library: str
    symbol: str
    answer: Answer
    version: bool = True
    cuda: bool = False


def has_version(name: str) -> bool:
    """True if libraries of this file name have version calls."""
    return any(re.match(call.library, name) for call in CALLS)


def versions(name: str, library: Any, asking: Callable[[str], None] = lambda _: None) -> tuple[str, str]:
    """The library's own version and the CUDA version that it was made for, in its words. Raises Refused.

    ``asking`` is handed the name of each call before it is made.
    """
    version = cuda = ""
    for call in CALLS:
        if call.cuda or not version:
            for answer in _answers([call], name, library, asking):
                version = answer if call.version else version
                cuda = answer if call.cuda else cuda
    return version, cuda


def start(name: str, library: Any, asking: Callable[[str], None]) -> str:
    """Makes the calls that a framework makes when it starts, and gives the version that they name, if any.

    A call may crash: a process that has trained must not make it. Raises Refused.
    """
    answers = list(_answers(STARTING, name, library, asking))
    return next(filter(None, answers), "")


def _answers(calls: Iterable[Call], name: str, library: Any, asking: Callable[[str], None]) -> Iterator[str]:
    for call in calls:
        if re.match(call.library, name):
            try:
                asking(call.symbol)
                yield call.answer(library, call.symbol)
            except (AttributeError, ValueError):  # this release of the library has no such call
                continue


def _require_success(symbol: str, status: int) -> None:
    if status:
        raise Refused(f"{symbol} answers with the error {status}")


def _filled(count: int, text: Callable[..., str] = lambda *_: "") -> Answer:
    """The answer of a call that fills in so many numbers, of which ``text`` makes the version."""

    def answer(library: Any, symbol: str) -> str:
        numbers = [ctypes.c_int(-1) for _ in range(count)]
        _require_success(symbol, getattr(library, symbol)(*map(ctypes.byref, numbers)))
        return text(*(number.value for number in numbers))

    return answer


def _returned(text: Callable[[int], str]) -> Answer:
    """The answer of a call that returns a number, of which ``text`` makes the version."""

    def answer(library: Any, symbol: str) -> str:
        function = getattr(library, symbol)
        function.restype = ctypes.c_size_t
        return text(int(function()))

    return answer


def _runtime(library: Any, symbol: str) -> str:
    """The runtime's version. Raises ValueError where it does not tell it, as CUDA 11's does not without a driver."""
    number = ctypes.c_int(-1)
    status = getattr(library, symbol)(ctypes.byref(number))
    if status in NO_DRIVER:
        raise ValueError(symbol)
    _require_success(symbol, status)
    return _cuda(number.value)


def _properties(library: Any, symbol: str) -> str:
    """The major, the minor and the patch level, each of which is a property with a number of its own."""
    numbers = [ctypes.c_int(-1) for _ in range(3)]
    for which, number in enumerate(numbers):
        _require_success(symbol, getattr(library, symbol)(which, ctypes.byref(number)))
    return ".".join(str(number.value) for number in numbers)


def _constant(library: Any, symbol: str) -> str:
    """Of cuDNN 9: 0x091A00 is 9.26.0. Raises ValueError for a number of another make."""
    number = ctypes.c_uint.in_dll(library, symbol).value
    if not 9 <= number >> 16 < 100:
        raise ValueError(symbol)
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


def _cuda(number: int) -> str:
    """13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _cudnn(number: int) -> str:
    """92600 is 9.26.0, and before 9 it was 8906 for 8.9.6."""
    unit = 10000 if number >= 90000 else 1000
    return f"{number // unit}.{number % unit // 100}.{number % 100}"


def _nccl(number: int) -> str:
    """23007 is 2.30.7, and before 2.9 it was 2804 for 2.8.4."""
    unit = 10000 if number >= 10000 else 1000
    return f"{number // unit}.{number % unit // 100}.{number % 100}"


def _cupti(number: int) -> str:
    """130101 is of CUDA 13.1. Up to CUDA 12 the number counts the interfaces, and names no version."""
    return f"{number // 10000}.{number % 10000 // 100}" if number >= 130000 else ""


# The parts of cuDNN only say whether they fit the others; cuDNN 8 has two of each. Named in their calls as here.
_PARTS, _HALVES = ("ops", "cnn", "adv"), ("infer", "train")
_CUDNN_PARTS = {
    **{f"{part}_{half}": part.title() + half.title() for part in _PARTS for half in _HALVES},
    **{part: part.title() for part in _PARTS},
    "ext": "SubquadraticOps",
}
_DOTTED = "{}.{}".format
CALLS = (
    Call(r"libcudart\.", "cudaRuntimeGetVersion", _runtime, cuda=True),
    Call(r"libcudnn(_graph|_ops_infer)?\.", "cudnnGetCudartVersion", _returned(_cuda), version=False, cuda=True),
    Call(r"libcudnn(_graph|_ops_infer)?\.", "cudnnGetVersion", _returned(_cudnn)),
    *(Call(f"libcudnn_{part}", f"cudnn{name}VersionCheck", _filled(0)) for part, name in _CUDNN_PARTS.items()),
    Call(r"libcudnn_ops", "cudnn_ops_infer_version", _constant),
    Call(r"libcudnn_adv", "cudnn_adv_infer_version", _constant),
    Call(r"libcublas\.", "cublasGetCudartVersion", _returned(_cuda), version=False, cuda=True),
    Call(r"libcublas\.", "cublasGetProperty", _properties),
    Call(r"libcublasLt\.", "cublasLtGetCudartVersion", _returned(_cuda), version=False, cuda=True),
    Call(r"libcublasLt\.", "cublasLtGetProperty", _properties),
    Call(r"libcufft\.", "cufftGetProperty", _properties),
    Call(r"libcurand\.", "curandGetProperty", _properties),
    Call(r"libcusolver\.", "cusolverGetProperty", _properties),
    Call(r"libcusparse\.", "cusparseGetProperty", _properties),
    Call(r"libcusparseLt\.", "cusparseLtGetProperty", _properties),
    Call(r"libnccl\.", "ncclGetVersion", _filled(1, _nccl)),
    Call(r"libnvrtc\.(alt\.)?so", "nvrtcVersion", _filled(2, _DOTTED), cuda=True),
    Call(r"libnvJitLink\.", "nvJitLinkVersion", _filled(2, _DOTTED), cuda=True),
)
# What a framework calls when it starts, whether or not there is a driver: JAX asks CUPTI, for one. None of them may
# crash, or be refused. NVIDIA's nvperf libraries are not asked: their call wants the number of an interface, which
# changes with each release.
STARTING = (
    Call(r"libcupti\.", "cuptiGetVersion", _filled(1, _cupti)),
    Call(r"libcufile\.", "cuFileGetVersion", _filled(1)),
    Call(r"libcufft\.", "cufftGetVersion", _filled(1)),
    Call(r"libcurand\.", "curandGetVersion", _filled(1)),
    Call(r"libcusolver\.", "cusolverGetVersion", _filled(1)),
    Call(r"libnccl\.", "pncclGetVersion", _filled(1)),
    Call(r"libnvvm\.", "nvvmVersion", _filled(2)),
    Call(r"libnvshmem_host\.", "nvshmem_info_get_version", _filled(2)),
    Call(r"libnvshmem_host\.", "nvshmemx_vendor_get_version_info", _filled(3, "{}.{}.{}".format)),
    Call(r"libcudnn(_graph)?\.", "cudnnGraphVersionCheck", _filled(0)),
)
