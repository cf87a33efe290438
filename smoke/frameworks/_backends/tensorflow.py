"""TensorFlow, as its own file and Keras's ask it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from smoke.frameworks import DeviceMissing
from smoke.kit import xplane
from smoke.machine import host


def describe() -> dict[str, Any]:
    """TensorFlow's version, what it was built for, and the GPU that it may use."""
    build = tf.sysconfig.get_build_info()
    told: dict[str, Any] = {
        "version": tf.__version__,
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
    }
    for gpu in tf.config.get_visible_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        told["gpu"] = details.get("device_name")
        told["capability"] = "{}.{}".format(*details.get("compute_capability", ("?", "?")))
    return told


def be_deterministic() -> None:
    """Turns on every switch that makes two runs equal. Random operations without a seed are refused from then on."""
    tf.config.experimental.enable_op_determinism()


def use_device(device: str) -> None:
    """Lets TensorFlow see the first GPU, or none; raises DeviceMissing where there is none to see."""
    gpus = tf.config.list_physical_devices("GPU") if device == "gpu" else []
    if device == "gpu" and not gpus:
        raise DeviceMissing("TensorFlow finds no GPU; its log above says which library or driver it misses")
    if gpus or host.has_gpu_device():
        tf.config.set_visible_devices(gpus[:1], "GPU")


@contextlib.contextmanager
def products(precision: str) -> Iterator[None]:
    """Allows tf32 in float32 products only if it is asked for (it is on by default). It stays as it was set."""
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")
    yield


@contextlib.contextmanager
def counted() -> Iterator[list[int]]:
    """Holds at its end how many kernels ran on the GPU meanwhile. What is computed in it must end in it."""
    kernels: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        yield kernels
        tf.profiler.experimental.stop()
        kernels.append(xplane.kernels(Path(folder)))


def kind(tensor: Any) -> str:
    """Where a tensor lies: "cpu" or "gpu"."""
    return tf.DeviceSpec.from_string(tensor.device).device_type.lower()


def allocated() -> int:
    """The bytes that tensors take on the GPU."""
    return tf.config.experimental.get_memory_info("GPU:0")["current"]
