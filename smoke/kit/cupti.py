"""Counts the kernels that run on the GPU, through NVIDIA's CUPTI, for frameworks with no profiler of their own.

Standard library only. From CUPTI's documentation of its activity API: it asks for buffers, fills them with records,
and hands them back.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Callable

_KERNELS = 10  # CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL
_FORCED = 1  # CUPTI_ACTIVITY_FLAG_FLUSH_FORCED
_SIZE = 1 << 20
_ALIGNMENT = 8
_REQUESTED = ctypes.CFUNCTYPE(
    None, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)
)
_COMPLETED = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t
)


def library(site: Path) -> Any:
    """The CUPTI of the NVIDIA wheel below ``site``. Raises OSError if there is none, or if there is no driver."""
    found = sorted(site.glob("nvidia/cuda_cupti/lib/libcupti.so.*"))
    if not found:
        raise OSError("nvidia-cuda-cupti is not installed")
    return ctypes.CDLL(str(found[0]))


class Counter:
    """Counts from when it is made; one for a process, since CUPTI keeps the callbacks."""

    def __init__(self, cupti: Any) -> None:
        self._cupti = cupti
        self._count = 0
        self._buffers: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self._callbacks = (_REQUESTED(self._requested), _COMPLETED(self._completed))  # not to be collected
        self._call(cupti.cuptiActivityRegisterCallbacks, *self._callbacks)
        self._call(cupti.cuptiActivityEnable, ctypes.c_int(_KERNELS))

    def count(self) -> int:
        """The kernels that have ended until now."""
        self._call(self._cupti.cuptiActivityFlushAll, ctypes.c_uint32(_FORCED))
        return self._count

    def _requested(self, buffer: Any, size: Any, most: Any) -> None:
        memory = ctypes.create_string_buffer(_SIZE + _ALIGNMENT)
        start = -(-ctypes.addressof(memory) // _ALIGNMENT) * _ALIGNMENT
        self._buffers[start] = memory
        buffer[0], size[0], most[0] = start, _SIZE, 0

    def _completed(self, _context: Any, _stream: int, buffer: int, _size: int, valid: int) -> None:
        record = ctypes.c_void_p()
        following = self._cupti.cuptiActivityGetNextRecord
        while not following(ctypes.c_void_p(buffer), ctypes.c_size_t(valid), ctypes.byref(record)):
            assert record.value is not None
            self._count += ctypes.c_uint32.from_address(record.value).value == _KERNELS
        del self._buffers[buffer]

    @staticmethod
    def _call(function: Callable[..., int], *arguments: Any) -> None:
        code = function(*arguments)
        if code:
            raise OSError(f"{getattr(function, '__name__', 'CUPTI')} failed with {code}")
