"""Keras 3, on whichever backend KERAS_BACKEND names. What each function does: ``smoke.frameworks``.

The models, optimizers, losses and files are Keras's own, one code for all backends. What Keras has no word for (which
device was used, tf32, kernels, determinism) is asked of the backend: the classes at the end, one a backend.
"""

# The functions are documented once, in smoke.frameworks, and have one signature in each file.
# ruff: noqa: ARG001, ARG002, D103
from __future__ import annotations

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional, Union

import keras
import numpy as np
from keras import layers, ops

from smoke import data
from smoke.data import Digits, Lines, TextBatch
from smoke.frameworks import Cannot, DeviceMissing
from smoke.kit import pjrt, xplane
from smoke.machine import host
from smoke.reference import NAMES, Problem

CANNOT = {
    "f64.jax": "Keras makes float32 of float64 on JAX (keras.backend.result_type), to be aligned with its default",
    "f64.torch": "Keras makes float32 of float64 on PyTorch (keras.backend.result_type), as it does on JAX",
}
COMPILERS = ("jit_compile",)
WORKLOADS = ()
SWITCHES: dict[str, tuple[str, ...]] = {
    "gpu.tensorflow": ("set_visible_devices(GPU: the first)",),
    "cpu.tensorflow": ("set_visible_devices(GPU: none)",),
    "deterministic.tensorflow": ("enable_op_determinism()",),
    "f32.tensorflow": ("enable_tensor_float_32_execution(False)",),
    "gpu.jax": ("jax_platforms=cuda,cpu",),
    "cpu.jax": ("jax_platforms=cpu",),
    "deterministic.jax": ("XLA_FLAGS=--xla_gpu_deterministic_ops=true",),
    "f32.jax": ("jax_default_matmul_precision=highest",),
    "tf32.jax": ("jax_default_matmul_precision=tensorfloat32",),
    "gpu.torch": ("keras.device(gpu:0)",),
    "cpu.torch": ("keras.device(cpu)",),
    "deterministic.torch": ("CUBLAS_WORKSPACE_CONFIG=:4096:8", "use_deterministic_algorithms(True)"),
    "f32.torch": ("backends.cuda.matmul.allow_tf32=False", "backends.cudnn.allow_tf32=False"),
    "tf32.torch": ("backends.cuda.matmul.allow_tf32=True",),
}
TAKES_GPU = True  # on each of its backends
FIRST_LINES = """
import keras
from keras import ops

ones = ops.ones(3)

class Square(keras.layers.Layer):
    def build(self, shape):
        self.x = self.add_weight(shape=(3,), initializer="ones")

    def call(self, inputs):
        return ops.sum(self.x * self.x) * inputs

# A step of SGD at the rate 1 takes the gradient off the weights.
squares = keras.Sequential([keras.Input((1,)), Square()])
squares.compile(keras.optimizers.SGD(1.0), lambda wanted, found: ops.mean(found))
squares.train_on_batch(ops.ones((1, 1)), ops.ones((1, 1)))
gradient = ones - squares.layers[0].x
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(0.1), "mse")
x, y = ops.ones((8, 3)), ops.full((8, 1), 3.0)
losses = [float(model.evaluate(x, y, verbose=0))]
model.fit(x, y, batch_size=8, epochs=1, verbose=0)
losses.append(float(model.evaluate(x, y, verbose=0)))
model.save("model.keras")
loaded = keras.saving.load_model("model.keras")

import json
same = bool((loaded.predict(x, verbose=0) == model.predict(x, verbose=0)).all())
print(json.dumps({"sum": float(ops.sum(ones)), "gradient": ops.convert_to_numpy(gradient).tolist(), "losses": losses,
                  "loaded": same, "device": str(ones.device)}))
"""

_DTYPES = {"f64": "float64", "fp16": "float16", "bf16": "bfloat16"}
_POLICIES = {"f64": "float64", "fp16": "mixed_float16", "bf16": "mixed_bfloat16"}
_LOSS_SCALE = 1024.0  # a power of two, so that it rounds nothing: it keeps small float16 gradients from vanishing


def describe() -> dict[str, Any]:
    return {"name": "keras", "version": keras.__version__, "backend": keras.config.backend(), **_backend.describe()}


def be_deterministic() -> None:
    keras.utils.set_random_seed(1)
    _backend.be_deterministic()


def use_device(device: str) -> None:
    _backend.use_device(device)


def matmul(a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
    with _computing(precision):
        return _numpy(ops.matmul(_tensor(a, precision), _tensor(b, precision)))


def conv2d(x: np.ndarray, w: np.ndarray, precision: str) -> np.ndarray:
    """NCHW and OIHW, as the reference has them, by way of Keras's own order, which every backend has kernels for."""
    with _computing(precision):
        found = ops.conv(
            _tensor(x.transpose(0, 2, 3, 1), precision),
            _tensor(w.transpose(2, 3, 1, 0), precision),
            data_format="channels_last",
        )
        return _numpy(found).transpose(0, 3, 1, 2)


def train_parity(problem: Problem, precision: str, fault: str) -> dict[str, Any]:
    with _computing(precision):
        return _train(_parity(problem, precision, fault), problem, problem.steps)


def train_compiled(problem: Problem, precision: str, compiler: str) -> dict[str, Any]:
    with _computing(precision):
        model = _parity(problem, precision, "", jit_compile=True)
        found = _train(model, problem, problem.steps)
        return {**found, "compiled": _backend.compiled(model, problem.steps) if model.jit_compile else 0}


def train_digits(digits: Digits, seed: int) -> dict[str, Any]:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    losses: list[float] = []
    start = time.perf_counter()
    for epoch in range(8):
        for images, labels in digits.epoch(32, seed + epoch):
            losses.append(float(model.train_on_batch(_channels_last(images), labels)))
    seconds = (time.perf_counter() - start) / len(losses)
    predictions = model.predict_on_batch(_channels_last(digits.test_images)).argmax(1)
    return {"predictions": predictions, "losses": losses, "seconds_per_step": seconds}


def train_sequence(lines: Lines, seed: int) -> dict[str, Any]:
    keras.utils.set_random_seed(seed)
    alphabet = len(lines.alphabet)
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(alphabet, 32),
            layers.GRU(96, return_sequences=True),
            layers.Dense(alphabet),
        ]
    )
    # A mean over the characters that are there: padding has the weight 0 and is not counted.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    model.compile(keras.optimizers.Adam(0.02, global_clipnorm=1.0), loss)
    losses: list[float] = []
    start = time.perf_counter()
    for batch in lines.epoch(32, seed):
        if len(batch.inputs) < 32:
            continue  # the one short batch would be compiled for itself
        losses.append(float(model.train_on_batch(*_text(batch))))
    seconds = (time.perf_counter() - start) / len(losses)
    found = [_nats(model, batch) for batch in lines.tests(64)]
    bits = sum(nats for nats, _ in found) / sum(count for _, count in found) / math.log(2)
    return {"bits": bits, "losses": losses, "seconds_per_step": seconds}


def train_workload(name: str, digits: Digits, seed: int) -> dict[str, Any]:
    raise Cannot("Keras's file declares no workload of its own")


def save_checkpoint(problem: Problem, precision: str, steps: int, folder: str) -> None:
    """Both of Keras's formats: the whole model with its optimizer, and the weights by themselves."""
    with _computing(precision):
        model = _parity(problem, precision, "")
        _train(model, problem, steps)
        model.save(Path(folder, "checkpoint.keras"))
        model.save_weights(Path(folder, "checkpoint.weights.h5"))


def continue_checkpoint(problem: Problem, precision: str, folder: str) -> dict[str, Any]:
    with _computing(precision):
        model = keras.saving.load_model(Path(folder, "checkpoint.keras"))
        other = _parity(problem, precision, "")
        other.load_weights(Path(folder, "checkpoint.weights.h5"))
        for one, same in zip(model.get_weights(), other.get_weights()):
            if not np.array_equal(one, same):
                raise ValueError("checkpoint.weights.h5 and checkpoint.keras hold different weights")
        steps = int(ops.convert_to_numpy(model.optimizer.iterations))
        return _train(model, problem, problem.steps - steps)


def load_batches(count: int, workers: int) -> list[float]:
    model = keras.Sequential([keras.Input(data.BATCH_SHAPE[1:]), _Sum(name="sum")])
    sums = model.predict(_Batches(count, workers), verbose=0)
    return [float(one) for one in sums.reshape(count, -1).sum(1, dtype=np.float64)]


def device_evidence(device: str) -> dict[str, Any]:
    where = keras.device(device + ":0")
    with tempfile.TemporaryDirectory() as folder, _backend.counted(Path(folder)) as kernels, where:
        a = ops.ones((256, 256))
        result = ops.conv(ops.matmul(a, a)[None, :, :, None], ops.ones((3, 3, 1, 1)), data_format="channels_last")
        ops.convert_to_numpy(result)
    return {
        "device": _backend.kind(result),
        "name": str(_backend.where(result)),
        "bytes": _backend.allocated() if device == "gpu" else 0,
        "kernels": kernels[0],
    }


def _numpy(tensor: Any) -> np.ndarray:
    return ops.convert_to_numpy(tensor).astype(np.float64)


def _tensor(value: np.ndarray, precision: str) -> Any:
    return ops.convert_to_tensor(np.asarray(value), _DTYPES.get(precision, "float32"))


@contextlib.contextmanager
def _computing(precision: str) -> Iterator[None]:
    """Keras's own float, and the class of float32 products, which is the backend's to choose."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64" if precision == "f64" else "float32")
    try:
        with _backend.products(precision):
            yield
    finally:
        keras.config.set_floatx(before)


@keras.saving.register_keras_serializable("smoke")
class _SGD(keras.optimizers.SGD):
    """Keras's SGD, which also keeps the gradients that it is handed, and loses the one that it is told to lose."""

    lost: Optional[int] = None

    def build(self, variables: list[Any]) -> None:
        if not self.built:
            super().build(variables)
            self.gradients = self.add_optimizer_variables(variables, "gradient")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        if index == self.lost:
            gradient = ops.zeros_like(gradient)
        self.assign(self.gradients[index], gradient)
        super().update_step(gradient, variable, learning_rate)


@keras.saving.register_keras_serializable("smoke")
class _Model(keras.Sequential):
    """A model that counts how often Python ran its training step: a compiled step runs without."""

    ran = 0

    def train_step(self, *arguments: Any, **named: Any) -> Any:
        self.ran += 1
        return super().train_step(*arguments, **named)


class _RoundedConv(layers.Conv2D):
    """A convolution whose inputs are rounded to tf32: a fault put in on purpose."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return super().convolution_op(_rounded(inputs), _rounded(kernel))


class _RoundedDense(layers.Dense):
    """A product whose inputs are rounded to tf32: a fault put in on purpose."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        return self.activation(ops.matmul(_rounded(inputs), _rounded(self.kernel)) + self.bias)


def _rounded(x: Any) -> Any:
    """x rounded to tf32's eleven bits, by masking; the gradient passes as if it were not."""
    x = ops.convert_to_tensor(x)
    bits = ops.bitwise_and(ops.view(x, "int32") + 0x1000, -0x2000)
    return x + ops.stop_gradient(ops.view(bits, "float32") - x)


def _parity(problem: Problem, precision: str, fault: str, jit_compile: Union[bool, str] = "auto") -> Any:
    """The parity problem's network with its weights; float16 and bfloat16 by Keras's policies for mixed precision."""
    conv, dense = (_RoundedConv, _RoundedDense) if fault == "inputs-tf32" else (layers.Conv2D, layers.Dense)
    filters, channels, *_ = problem.weights["conv.w"].shape
    policy = _POLICIES.get(precision, "float32")
    model = _Model(
        [
            keras.Input((*problem.images.shape[2:], channels)),
            conv(filters, 3, activation="tanh", dtype=policy, name="conv"),
            layers.AveragePooling2D(2, dtype=policy),
            layers.Permute((3, 1, 2), dtype=policy),  # the reference flattens channels first
            layers.Flatten(dtype=policy),
            dense(problem.weights["dense1.w"].shape[1], activation="tanh", dtype=policy, name="dense1"),
            dense(problem.weights["dense2.w"].shape[1], dtype=policy, name="dense2"),
        ],
        name="parity",
    )
    model.set_weights([_keras_order(name, problem.weights[name]) for name in NAMES])
    scale = _LOSS_SCALE if precision == "fp16" else None
    # On TensorFlow Keras casts a Python float by way of float32, and a NumPy one it does not.
    optimizer = _SGD(problem.lr, momentum=np.float64(problem.momentum), loss_scale_factor=scale, name="sgd")
    optimizer.lost = NAMES.index("conv.b") if fault == "bias-gradient-dropped" else None
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=jit_compile, auto_scale_loss=False)
    return model


def _train(model: Any, problem: Problem, steps: int) -> dict[str, Any]:
    images = _channels_last(problem.images).astype(keras.config.floatx())
    labels = problem.labels.astype(np.int32)
    losses: list[float] = []
    first: dict[str, np.ndarray] = {}
    for step in range(steps):
        losses.append(float(model.train_on_batch(images, labels)))
        if step == 0:
            first = _named(model.optimizer.gradients)
    return {
        "losses": losses,
        "gradients": first,
        "weights": _named(model.trainable_variables),
        "device": _backend.kind(model.trainable_variables[0].value),
    }


def _named(variables: list[Any]) -> dict[str, np.ndarray]:
    """Variables by the reference's names, in its order of axes."""
    return {name: _reference_order(name, _numpy(one.value)) for name, one in zip(NAMES, variables)}


def _keras_order(name: str, value: np.ndarray) -> np.ndarray:
    return value.transpose(2, 3, 1, 0) if name == "conv.w" else value


def _reference_order(name: str, value: np.ndarray) -> np.ndarray:
    return value.transpose(3, 2, 0, 1) if name == "conv.w" else value


def _channels_last(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def _text(batch: TextBatch) -> tuple[np.ndarray, ...]:
    """Inputs, targets and weights, with the time axis padded to a multiple of 32, so that few shapes are compiled."""
    more = -batch.inputs.shape[1] % 32
    inputs, targets, mask = (np.pad(one, ((0, 0), (0, more))) for one in (batch.inputs, batch.targets, batch.mask))
    return inputs.astype(np.int32), targets.astype(np.int32), mask


def _nats(model: Any, batch: TextBatch) -> tuple[float, float]:
    """The summed cross-entropy of a batch of test lines, and its count of characters."""
    inputs, targets, mask = _text(batch)
    logits = model.predict_on_batch(inputs)
    losses = keras.losses.sparse_categorical_crossentropy(targets, ops.convert_to_tensor(logits), from_logits=True)
    return float((_numpy(losses) * mask).sum()), float(mask.sum())


class _Batches(keras.utils.PyDataset):
    """The loader's batches, made in its worker processes."""

    def __init__(self, count: int, workers: int) -> None:
        super().__init__(workers=workers, use_multiprocessing=True, max_queue_size=workers)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        return (data.batch(index),)


class _Sum(layers.Layer):
    """The sum of each row: below 2^24 and so exact."""

    def call(self, x: Any) -> Any:
        return ops.sum(x, axis=(1, 2))


class _TensorFlow:
    def __init__(self) -> None:
        import tensorflow as tf

        self.tf = tf

    def describe(self) -> dict[str, Any]:
        build = self.tf.sysconfig.get_build_info()
        told = {
            "backend_version": self.tf.__version__,
            "cuda": build.get("cuda_version"),
            "cudnn": build.get("cudnn_version"),
        }
        for gpu in self.tf.config.get_visible_devices("GPU"):
            details = self.tf.config.experimental.get_device_details(gpu)
            told["gpu"] = details.get("device_name")
            told["capability"] = "{}.{}".format(*details.get("compute_capability", ("?", "?")))
        return told

    def be_deterministic(self) -> None:
        self.tf.config.experimental.enable_op_determinism()

    def use_device(self, device: str) -> None:
        gpus = self.tf.config.list_physical_devices("GPU") if device == "gpu" else []
        if device == "gpu" and not gpus:
            raise DeviceMissing("TensorFlow finds no GPU; its log above says which library or driver it misses")
        if gpus or host.has_gpu_device():
            self.tf.config.set_visible_devices(gpus[:1], "GPU")

    @contextlib.contextmanager
    def products(self, precision: str) -> Iterator[None]:
        """Allows tf32 in float32 products only if it is asked for (it is on by default)."""
        self.tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")
        yield

    @contextlib.contextmanager
    def counted(self, folder: Path) -> Iterator[list[int]]:
        kernels: list[int] = []
        self.tf.profiler.experimental.start(str(folder))
        yield kernels
        self.tf.profiler.experimental.stop()
        kernels.append(xplane.kernels(folder))

    def where(self, tensor: Any) -> str:
        return tensor.device

    def kind(self, tensor: Any) -> str:
        return self.tf.DeviceSpec.from_string(tensor.device).device_type.lower()

    def allocated(self) -> int:
        return self.tf.config.experimental.get_memory_info("GPU:0")["current"]

    def compiled(self, model: Any, steps: int) -> int:
        return steps - model.ran


class _Jax:
    def __init__(self) -> None:
        import jax
        from jax._src.lib import cuda_versions  # it has no public name; JAX's plug-in asks it

        self.jax, self.cuda_versions = jax, cuda_versions

    def describe(self) -> dict[str, Any]:
        device = self.jax.devices()[0]
        told: dict[str, Any] = {"backend_version": self.jax.__version__, **pjrt.cuda(self.cuda_versions)}
        if device.platform == "gpu":
            told["gpu"], told["capability"] = device.device_kind, str(device.compute_capability)
        return told

    def be_deterministic(self) -> None:
        flags = os.environ.get("XLA_FLAGS", "")  # read when the backend starts
        os.environ["XLA_FLAGS"] = (flags + " --xla_gpu_deterministic_ops=true").strip()

    def use_device(self, device: str) -> None:
        # A platform that is named and cannot start is an error to JAX; only one that is not named is passed over.
        if device == "gpu" or host.has_gpu_device():
            self.jax.config.update("jax_platforms", "cuda,cpu" if device == "gpu" else "cpu")
        try:
            found = self.jax.devices()[0].platform
        except RuntimeError as why:
            raise DeviceMissing(str(why)) from why
        if found != device:
            raise DeviceMissing(f"JAX started on {found!r}; was its backend used before?")

    @contextlib.contextmanager
    def products(self, precision: str) -> Iterator[None]:
        """The class of float32 products (on a GPU tf32 is JAX's default), and float64 only where it is asked for."""
        before = self.jax.config.jax_enable_x64
        self.jax.config.update("jax_enable_x64", precision == "f64")
        try:
            with self.jax.default_matmul_precision("tensorfloat32" if precision == "tf32" else "highest"):
                yield
        finally:
            self.jax.config.update("jax_enable_x64", before)

    @contextlib.contextmanager
    def counted(self, folder: Path) -> Iterator[list[int]]:
        kernels: list[int] = []
        with self.jax.profiler.trace(str(folder)):
            yield kernels
        kernels.append(xplane.kernels(folder))

    def where(self, tensor: Any) -> Any:
        (device,) = tensor.devices()
        return device

    def kind(self, tensor: Any) -> str:
        return self.where(tensor).platform

    def allocated(self) -> int:
        return (self.jax.devices("gpu")[0].memory_stats() or {}).get("bytes_in_use", 0)

    def compiled(self, model: Any, steps: int) -> int:
        return steps - model.ran


class _Torch:
    def __init__(self) -> None:
        import torch

        self.torch = torch
        self.scope = contextlib.ExitStack()

    def describe(self) -> dict[str, Any]:
        torch = self.torch
        told: dict[str, Any] = {
            "backend_version": torch.__version__,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version() if torch.version.cuda else None,
        }
        if torch.cuda.is_initialized():
            told["gpu"] = torch.cuda.get_device_name()
            told["capability"] = "{}.{}".format(*torch.cuda.get_device_capability())
        return told

    def be_deterministic(self) -> None:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when cuBLAS makes its first handle
        self.torch.use_deterministic_algorithms(True)
        self.torch.backends.cudnn.benchmark = False

    def use_device(self, device: str) -> None:
        if device == "gpu":
            try:
                self.torch.zeros(1, device="cuda")
            except (RuntimeError, AssertionError) as why:  # AssertionError: a build without CUDA
                raise DeviceMissing(str(why)) from why
        # Keras takes a GPU wherever torch has one. Of "cpu:0" it makes copies, which get no gradients.
        if device == "gpu" or host.has_gpu_device():
            self.scope.enter_context(keras.device("gpu:0" if device == "gpu" else "cpu"))

    @contextlib.contextmanager
    def products(self, precision: str) -> Iterator[None]:
        """The class of float32 products: tf32 only if asked for (cuDNN's is on by default)."""
        cuda, cudnn = self.torch.backends.cuda.matmul, self.torch.backends.cudnn
        before = cuda.allow_tf32, cudnn.allow_tf32
        cuda.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
        try:
            yield
        finally:
            cuda.allow_tf32, cudnn.allow_tf32 = before

    @contextlib.contextmanager
    def counted(self, folder: Path) -> Iterator[list[int]]:
        """A process on the CPU spares itself the profiler."""
        kernels: list[int] = []
        if not self.torch.cuda.is_initialized():
            yield kernels
            kernels.append(0)
            return
        profiler = self.torch.profiler
        with profiler.profile(activities=[profiler.ProfilerActivity.CUDA]) as profile:
            yield kernels
            self.torch.cuda.synchronize()
        kernels.append(sum(one.device_type == self.torch.autograd.DeviceType.CUDA for one in profile.events()))

    def where(self, tensor: Any) -> Any:
        return tensor.device

    def kind(self, tensor: Any) -> str:
        return {"cuda": "gpu"}.get(tensor.device.type, tensor.device.type)

    def allocated(self) -> int:
        return self.torch.cuda.memory_allocated()

    def compiled(self, model: Any, steps: int) -> int:
        """torch.compile keeps what Python does beside the computing, so that it cannot be counted by that."""
        import torch._dynamo

        return torch._dynamo.utils.counters["stats"]["unique_graphs"]


_backend: Any = {"tensorflow": _TensorFlow, "jax": _Jax, "torch": _Torch}[keras.config.backend()]()
