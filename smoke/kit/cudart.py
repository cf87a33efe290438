"""CUDA's runtime by ctypes, for frameworks that do not tell about their GPU. Standard library only."""

from __future__ import annotations

import ctypes
from typing import Any

_PROPERTIES = 1 << 14  # more than a cudaDeviceProp takes; it begins with the name


class Runtime:
    """The runtime that the framework has loaded, on its first GPU."""

    def __init__(self, cudart: Any) -> None:
        self._cudart = cudart

    def require_gpu(self) -> None:
        """Raises OSError, in the runtime's words where it has any, if there is no GPU."""
        count = ctypes.c_int()
        code = self._cudart.cudaGetDeviceCount(ctypes.byref(count))
        if code or not count.value:
            raise OSError(self._error(code) if code else "the CUDA runtime counts no GPU")

    def gpu_name(self) -> str:
        """The GPU's name, or why it cannot be told."""
        properties = ctypes.create_string_buffer(_PROPERTIES)
        code = self._cudart.cudaGetDeviceProperties(properties, 0)
        return self._error(code) if code else properties.value.decode()

    def free(self) -> int:
        """The free bytes on the GPU."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._cudart.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
        return free.value

    def wait(self) -> None:
        """Returns when all that the GPU was asked to do has ended."""
        self._cudart.cudaDeviceSynchronize()

    def _error(self, code: int) -> str:
        self._cudart.cudaGetErrorString.restype = ctypes.c_char_p
        return bytes(self._cudart.cudaGetErrorString(code)).decode()
