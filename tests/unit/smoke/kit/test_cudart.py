"""CUDA's runtime, against one that answers as its documentation says."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from smoke.kit.cudart import Runtime


class Function:
    """A function of a C library: called, and given a type of what it returns."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.restype: Any = ctypes.c_int

    def __call__(self, *arguments: Any) -> Any:
        return self.answer(*arguments)


def runtime(gpus: int, code: int = 0) -> Runtime:
    class Cudart:
        cudaGetErrorString = Function(lambda code: f"error {code}".encode())

        def cudaGetDeviceCount(self, count: Any) -> int:
            count._obj.value = gpus
            return code

        def cudaGetDeviceProperties(self, properties: Any, device: int) -> int:
            assert device == 0
            properties.value = b"NVIDIA H100"
            return code

        def cudaMemGetInfo(self, free: Any, total: Any) -> int:
            free._obj.value, total._obj.value = 5 << 32, 9 << 32
            return code

    return Runtime(Cudart())


def test_what_it_tells_of_a_gpu() -> None:
    found = runtime(gpus=1)
    found.require_gpu()
    assert found.gpu_name() == "NVIDIA H100"
    assert found.free() == 5 << 32


def test_a_runtime_that_cannot_start_is_quoted() -> None:
    found = runtime(gpus=0, code=35)
    with pytest.raises(OSError, match="error 35"):
        found.require_gpu()
    assert found.gpu_name() == "error 35"


def test_where_no_gpu_is_counted() -> None:
    with pytest.raises(OSError, match="counts no GPU"):
        runtime(gpus=0).require_gpu()
