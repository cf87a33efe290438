"""The version calls of CUDA libraries: what each says that it is, and for which CUDA it was made.

Standard library only. Nothing is loaded here: a library is handed in.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any

NO_DRIVER = (34, 35)  # cudaErrorStubLibrary, cudaErrorInsufficientDriver


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
