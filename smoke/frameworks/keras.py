"""Keras 3, on whichever backend KERAS_BACKEND names. What each function does: ``smoke.frameworks``.

The models, optimizers, losses and files are Keras's own, one code for all backends. What Keras has no word for (which
device was used, tf32, kernels, determinism) is asked of the backend, as ``smoke.frameworks._backends`` has it.
"""

# The functions are documented once, in smoke.frameworks, and have one signature in each file.
# ruff: noqa: ARG001, ARG002, D103
from __future__ import annotations

import contextlib
import importlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional, Union

import keras
import numpy as np
from keras import layers, ops

from smoke import data
from smoke.data import Digits, Lines, TextBatch
from smoke.frameworks import Cannot
from smoke.machine import host
from smoke.reference import NAMES, Problem

CANNOT = {
    "f64.jax": "Keras makes float32 of float64 on JAX (keras.backend.result_type), to be aligned with its default",
    "f64.torch": "Keras makes float32 of float64 on PyTorch (keras.backend.result_type), as it does on JAX",
}
COMPILERS: tuple[str, ...] = ("jit_compile",)
WORKLOADS: tuple[str, ...] = ()
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
_name = keras.config.backend()
_backend: Any = importlib.import_module("smoke.frameworks._backends." + _name)
_scope = contextlib.ExitStack()


def describe() -> dict[str, Any]:
    told = _backend.describe()
    version = told.pop("version")
    return {"name": "keras", "version": keras.__version__, "backend": _name, "backend_version": version, **told}


def be_deterministic() -> None:
    keras.utils.set_random_seed(1)
    _backend.be_deterministic()


def use_device(device: str) -> None:
    _backend.use_device(device)
    # Keras takes a GPU wherever PyTorch has one. Of "cpu:0" it makes copies there, which get no gradients.
    if _name == "torch" and (device == "gpu" or host.has_gpu_device()):
        _scope.enter_context(keras.device("gpu:0" if device == "gpu" else "cpu"))


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
        return {**found, "compiled": _compiled(model, problem.steps) if model.jit_compile else 0}


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
    with _backend.counted() as kernels, keras.device(device + ":0"):
        a = ops.ones((256, 256))
        result = ops.conv(ops.matmul(a, a)[None, :, :, None], ops.ones((3, 3, 1, 1)), data_format="channels_last")
        ops.convert_to_numpy(result)
    return {
        "device": _backend.kind(result),
        "name": str(result.device),
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


def _compiled(model: Any, steps: int) -> int:
    """How many steps ran without Python, so compiled. torch.compile keeps what Python does beside the computing, and
    its graphs are counted."""
    return _backend.compiled() if _name == "torch" else steps - model.ran


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
