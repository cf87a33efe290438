"""PyTorch, as its own file and Keras's ask it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from smoke.frameworks import DeviceMissing


def describe() -> dict[str, Any]:
    """PyTorch's version, what it was built for, and the GPU that it has started on."""
    told: dict[str, Any] = {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.version.cuda else None,
    }
    if torch.cuda.is_initialized():
        told["gpu"] = torch.cuda.get_device_name()
        told["capability"] = "{}.{}".format(*torch.cuda.get_device_capability())
    return told


def be_deterministic() -> None:
    """Turns on every switch that makes two runs equal."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when cuBLAS makes its first handle
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def use_device(device: str) -> None:
    """Starts the GPU where one is asked for, or raises DeviceMissing. Tensors still name where they are put."""
    if device == "gpu":
        try:
            torch.zeros(1, device="cuda")
        except (RuntimeError, AssertionError) as why:  # AssertionError: a build without CUDA
            raise DeviceMissing(str(why)) from why


@contextlib.contextmanager
def products(precision: str) -> Iterator[None]:
    """The class of float32 products: tf32 only if asked for (cuDNN's is on by default)."""
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = cuda.allow_tf32, cudnn.allow_tf32
    cuda.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        cuda.allow_tf32, cudnn.allow_tf32 = before


@contextlib.contextmanager
def counted() -> Iterator[list[int]]:
    """Holds at its end how many kernels ran on the GPU meanwhile; a process on the CPU spares itself the profiler."""
    kernels: list[int] = []
    if not torch.cuda.is_initialized():
        yield kernels
        kernels.append(0)
        return
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        yield kernels
        torch.cuda.synchronize()
    kernels.append(sum(event.device_type == torch.autograd.DeviceType.CUDA for event in profile.events()))


def kind(tensor: torch.Tensor) -> str:
    """Where a tensor lies: "cpu" or "gpu"."""
    return {"cuda": "gpu"}.get(tensor.device.type, tensor.device.type)


def allocated() -> int:
    """The bytes that tensors take on the GPU."""
    return torch.cuda.memory_allocated()


def compiled() -> int:
    """How many graphs torch.compile has made in this process."""
    import torch._dynamo  # takes a second, and only this needs it

    return torch._dynamo.utils.counters["stats"]["unique_graphs"]
