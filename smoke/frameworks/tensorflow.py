"""TensorFlow. What each function does: ``smoke.frameworks``."""

# The functions are documented once, in smoke.frameworks, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from smoke.data import Digits, Lines, TextBatch
from smoke.frameworks import Cannot
from smoke.frameworks._backends import tensorflow as backend
from smoke.kit import loader
from smoke.reference import Problem

CANNOT: dict[str, str] = {}
COMPILERS: tuple[str, ...] = ("tf.function", "xla")
WORKLOADS: tuple[str, ...] = ()
SWITCHES: dict[str, tuple[str, ...]] = {
    "gpu": ("set_visible_devices(GPU: the first)",),
    "cpu": ("set_visible_devices(GPU: none)",),
    "deterministic": ("enable_op_determinism()",),
    "f32": ("enable_tensor_float_32_execution(False)",),
}
TAKES_GPU = True
FIRST_LINES = """
import tensorflow as tf

ones = tf.Variable(tf.ones(3))
with tf.GradientTape() as tape:
    squares = tf.reduce_sum(ones * ones)
gradient = tape.gradient(squares, ones)
model = tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(1)])
model.compile(tf.keras.optimizers.SGD(0.1), "mse")
x, y = tf.ones((8, 3)), tf.fill((8, 1), 3.0)
losses = [model.evaluate(x, y, verbose=0)]
model.fit(x, y, batch_size=8, epochs=1, verbose=0)
losses.append(model.evaluate(x, y, verbose=0))
model.save("model.keras")
loaded = tf.keras.models.load_model("model.keras")

import json
print(json.dumps({"sum": float(tf.reduce_sum(ones)), "gradient": gradient.numpy().tolist(), "losses": losses,
                  "loaded": bool((loaded(x).numpy() == model(x).numpy()).all()), "device": ones.device}))
"""

_DTYPES = {"f64": tf.float64, "fp16": tf.float16, "bf16": tf.bfloat16}
_LOSS_SCALE = 1024.0  # a power of two, so that it rounds nothing: it keeps small float16 gradients from vanishing


def describe() -> dict[str, Any]:
    return {"name": "tensorflow", "keras": tf.keras.__version__, **backend.describe()}


def be_deterministic() -> None:
    tf.keras.utils.set_random_seed(1)
    backend.be_deterministic()


def use_device(device: str) -> None:
    backend.use_device(device)


def matmul(a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
    with backend.products(precision):
        return _numpy(tf.matmul(_tensor(a, precision), _tensor(b, precision)))


def conv2d(x: np.ndarray, w: np.ndarray, precision: str) -> np.ndarray:
    with backend.products(precision):
        return _numpy(_conv(_tensor(x, precision), _tensor(w, precision)))


def train_parity(problem: Problem, precision: str, fault: str) -> dict[str, Any]:
    return _Parity(problem, precision, fault).train(problem.steps)


def train_compiled(problem: Problem, precision: str, compiler: str) -> dict[str, Any]:
    parity = _Parity(problem, precision, "")
    step = tf.function(parity.step, jit_compile=compiler == "xla")
    parity.step = step  # type: ignore[method-assign]
    return {**parity.train(problem.steps), "compiled": step.experimental_get_tracing_count()}


def train_digits(digits: Digits, seed: int) -> dict[str, Any]:
    tf.keras.utils.set_random_seed(seed)
    layers = tf.keras.layers
    network = tf.keras.Sequential(
        [
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    network.build((None, 8, 8, 1))
    optimizer = tf.keras.optimizers.SGD(0.1, momentum=0.9)

    @tf.function
    def step(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = network(images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        weights = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        return loss

    losses: list[float] = []
    start = time.perf_counter()
    for epoch in range(8):
        for images, labels in digits.epoch(32, seed + epoch):
            losses.append(float(step(tf.constant(_channels_last(images)), tf.constant(labels))))
    seconds = (time.perf_counter() - start) / len(losses)
    predictions = network(_channels_last(digits.test_images), training=False).numpy().argmax(1)
    return {"predictions": predictions, "losses": losses, "seconds_per_step": seconds}


def train_sequence(lines: Lines, seed: int) -> dict[str, Any]:
    tf.keras.utils.set_random_seed(seed)
    reader = _Reader(len(lines.alphabet))
    optimizer = tf.keras.optimizers.Adam(0.02, global_clipnorm=1.0)
    optimizer.build(reader.weights)

    @tf.function(input_signature=_TEXT)
    def step(inputs: Any, targets: Any, mask: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = reader.nats(inputs, targets, mask) / tf.reduce_sum(mask)
        optimizer.apply_gradients(zip(tape.gradient(loss, reader.weights), reader.weights))
        return loss

    start = time.perf_counter()
    losses = [float(step(*_text(batch))) for batch in lines.epoch(32, seed)]
    seconds = (time.perf_counter() - start) / len(losses)
    measure = tf.function(reader.nats, input_signature=_TEXT)
    tests = lines.tests(64)
    nats = sum(float(measure(*_text(batch))) for batch in tests)
    bits = nats / sum(float(batch.mask.sum()) for batch in tests) / math.log(2)
    return {"bits": bits, "losses": losses, "seconds_per_step": seconds}


def train_workload(name: str, digits: Digits, seed: int) -> dict[str, Any]:
    raise Cannot("TensorFlow's file declares no workload of its own")


def save_checkpoint(problem: Problem, precision: str, steps: int, folder: str) -> None:
    parity = _Parity(problem, precision, "")
    parity.train(steps)
    parity.checkpoint(steps).write(str(Path(folder, "checkpoint")))


def continue_checkpoint(problem: Problem, precision: str, folder: str) -> dict[str, Any]:
    parity = _Parity(problem, precision, "")
    checkpoint = parity.checkpoint(0)
    checkpoint.read(str(Path(folder, "checkpoint"))).assert_consumed()
    return parity.train(problem.steps - int(checkpoint.steps))


def load_batches(count: int, workers: int) -> list[float]:
    """tf.data has threads, not processes: the batches come to it from Python's worker processes."""
    source = tf.data.Dataset.from_generator(
        lambda: loader.batches(count, workers), output_signature=tf.TensorSpec((None, None, None), tf.float32)
    )
    return [float(tf.reduce_sum(batch)) for batch in source.prefetch(1)]


def device_evidence(device: str) -> dict[str, Any]:
    with backend.counted() as kernels, tf.device("/GPU:0" if device == "gpu" else "/CPU:0"):
        a = tf.ones((256, 256))
        result = tf.nn.conv2d(tf.matmul(a, a)[None, :, :, None], tf.ones((3, 3, 1, 1)), 1, "VALID")
        float(tf.reduce_sum(result))
    return {
        "device": backend.kind(result),
        "name": result.device,
        "bytes": backend.allocated() if device == "gpu" else 0,
        "kernels": kernels[0],
    }


def _numpy(tensor: Any) -> np.ndarray:
    return tf.cast(tensor, tf.float64).numpy()


def _tensor(value: np.ndarray, precision: str) -> Any:
    return tf.cast(tf.constant(np.asarray(value)), _DTYPES.get(precision, tf.float32))


def _conv(x: Any, w: Any) -> Any:
    """NCHW and OIHW, as the reference has them, by way of TensorFlow's own order: its CPU kernels know no other."""
    out = tf.nn.conv2d(tf.transpose(x, (0, 2, 3, 1)), tf.transpose(w, (2, 3, 1, 0)), 1, "VALID")
    return tf.transpose(out, (0, 3, 1, 2))


class _Parity:
    """The parity problem as TensorFlow trains it; float16 and bfloat16 are mixed: products in them, the rest not."""

    def __init__(self, problem: Problem, precision: str, fault: str) -> None:
        master = "f64" if precision == "f64" else "f32"
        self.precision, self.fault = precision, fault
        self.lr, self.momentum = problem.lr, problem.momentum
        self.images = _tensor(problem.images, master)
        self.labels = tf.constant(problem.labels)
        self.weights = {name: tf.Variable(_tensor(value, master)) for name, value in problem.weights.items()}
        self.velocity = {name: tf.Variable(tf.zeros_like(value)) for name, value in self.weights.items()}

    def checkpoint(self, steps: int) -> Any:
        return tf.train.Checkpoint(weights=self.weights, velocity=self.velocity, steps=tf.Variable(steps))

    def product(self, operation: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
        if self.fault == "inputs-tf32":
            a, b = _rounded(a), _rounded(b)
        low = _DTYPES[self.precision] if self.precision in ("fp16", "bf16") else a.dtype
        return tf.cast(operation(tf.cast(a, low), tf.cast(b, low)), a.dtype)

    def loss(self) -> Any:
        w = {name: tf.convert_to_tensor(value) for name, value in self.weights.items()}
        x = tf.tanh(self.product(_conv, self.images, w["conv.w"]) + w["conv.b"][:, None, None])
        x = tf.nn.avg_pool2d(tf.transpose(x, (0, 2, 3, 1)), 2, 2, "VALID")
        x = tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (x.shape[0], -1))
        x = tf.tanh(self.product(tf.matmul, x, w["dense1.w"]) + w["dense1.b"])
        x = self.product(tf.matmul, x, w["dense2.w"]) + w["dense2.b"]
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(self.labels, x))

    def step(self) -> tuple[Any, dict[str, Any]]:
        scale = _LOSS_SCALE if self.precision == "fp16" else 1.0
        with tf.GradientTape() as tape:
            loss = self.loss()
            scaled = loss * scale
        gradients = {name: value / scale for name, value in tape.gradient(scaled, self.weights).items()}
        if self.fault == "bias-gradient-dropped":
            gradients["conv.b"] = tf.zeros_like(gradients["conv.b"])
        for name, value in self.weights.items():
            self.velocity[name].assign(self.momentum * self.velocity[name] + gradients[name])
            value.assign_sub(self.lr * self.velocity[name])
        return loss, gradients

    def train(self, steps: int) -> dict[str, Any]:
        losses: list[float] = []
        first: dict[str, np.ndarray] = {}
        for number in range(steps):
            with backend.products(self.precision):
                loss, gradients = self.step()
            losses.append(float(loss))
            if number == 0:
                first = {name: _numpy(value) for name, value in gradients.items()}
        return {
            "losses": losses,
            "gradients": first,
            "weights": {name: _numpy(value) for name, value in self.weights.items()},
            "device": backend.kind(self.weights["conv.w"].value()),
        }


@tf.custom_gradient
def _rounded(x: Any) -> Any:
    """x rounded to tf32's eleven bits, by masking; the gradient passes as if it were not."""
    bits = tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32) + 0x1000, -0x2000)
    return tf.bitcast(bits, tf.float32), lambda gradient: gradient


def _channels_last(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


_TEXT = (
    tf.TensorSpec((None, None), tf.int64),
    tf.TensorSpec((None, None), tf.int64),
    tf.TensorSpec((None, None), tf.float32),
)


def _text(batch: TextBatch) -> tuple[Any, Any, Any]:
    return tf.constant(batch.inputs), tf.constant(batch.targets), tf.constant(batch.mask)


class _Reader:
    """A GRU over lines of different lengths: a loop in the graph that runs as often as the batch's lines need."""

    def __init__(self, alphabet: int) -> None:
        self.embedding = tf.keras.layers.Embedding(alphabet, 32)
        self.cell = tf.keras.layers.GRUCell(96)
        self.output = tf.keras.layers.Dense(alphabet)
        self.embedding.build((None,))
        self.cell.build((None, 32))
        self.output.build((None, 96))

    @property
    def weights(self) -> list[Any]:
        parts = (self.embedding, self.cell, self.output)
        return [weight for part in parts for weight in part.trainable_variables]

    def nats(self, inputs: Any, targets: Any, mask: Any) -> Any:
        """The summed cross-entropy of a batch. The loop becomes a while loop of the graph, with its gradient."""
        read = self.embedding(inputs)
        state = tf.zeros((tf.shape(inputs)[0], 96))
        total = tf.constant(0.0)
        for now in tf.range(tf.shape(inputs)[1]):
            _, (state,) = self.cell(read[:, now], [state])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets[:, now], self.output(state))
            total += tf.reduce_sum(losses * mask[:, now])
        return total
