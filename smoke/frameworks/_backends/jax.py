"""JAX, as its own file and Keras's ask it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from jax._src.lib import cuda_versions  # it has no public name; JAX's plug-in asks it before it starts on a GPU

from smoke.frameworks import DeviceMissing
from smoke.kit import pjrt, xplane
from smoke.machine import host


def describe() -> dict[str, Any]:
    """JAX's version, what it was built for, and the GPU that it has started on."""
    device = jax.devices()[0]
    told: dict[str, Any] = {"version": jax.__version__, **pjrt.cuda(cuda_versions)}
    if device.platform == "gpu":
        told["gpu"], told["capability"] = device.device_kind, str(device.compute_capability)
    return told


def be_deterministic() -> None:
    """Turns on every switch that makes two runs equal."""
    flags = os.environ.get("XLA_FLAGS", "")  # read when the backend starts
    os.environ["XLA_FLAGS"] = (flags + " --xla_gpu_deterministic_ops=true").strip()


def use_device(device: str) -> None:
    """Starts JAX on that device, or raises DeviceMissing."""
    # A platform that is named and cannot start is an error to JAX; only one that is not named is passed over.
    if device == "gpu" or host.has_gpu_device():
        jax.config.update("jax_platforms", "cuda,cpu" if device == "gpu" else "cpu")
    try:
        found = jax.devices()[0].platform
    except RuntimeError as why:
        raise DeviceMissing(str(why)) from why
    if found != device:
        raise DeviceMissing(f"JAX started on {found!r}; was its backend used before?")


@contextlib.contextmanager
def products(precision: str) -> Iterator[None]:
    """The class of float32 products (on a GPU tf32 is JAX's default), and float64 only where it is asked for."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", precision == "f64")
    try:
        with jax.default_matmul_precision("tensorfloat32" if precision == "tf32" else "highest"):
            yield
    finally:
        jax.config.update("jax_enable_x64", before)


@contextlib.contextmanager
def counted() -> Iterator[list[int]]:
    """Holds at its end how many kernels ran on the GPU meanwhile. What is computed in it must end in it."""
    kernels: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            yield kernels
        kernels.append(xplane.kernels(Path(folder)))


def kind(array: Any) -> str:
    """Where an array lies: "cpu" or "gpu"."""
    (device,) = array.devices()
    return device.platform


def allocated() -> int:
    """The bytes that arrays take on the GPU."""
    return (jax.devices("gpu")[0].memory_stats() or {}).get("bytes_in_use", 0)
