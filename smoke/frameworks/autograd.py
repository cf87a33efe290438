"""HIPS autograd: derivatives of NumPy programs, on the CPU. What each function does: ``smoke.frameworks``."""

# The functions are documented once, in smoke.frameworks, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import math
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Callable

import autograd
import autograd.numpy as np
import numpy
from autograd.extend import defvjp, primitive
from autograd.misc import flatten

from smoke.data import Digits, Lines, TextBatch
from smoke.frameworks import Cannot, DeviceMissing
from smoke.kit import loader, tf32
from smoke.reference import Problem

CANNOT: dict[str, str] = {
    "tf32": "autograd computes with NumPy, which has no products in this class",
    "fp16": "autograd computes with NumPy, which has no products in this class",
    "bf16": "autograd computes with NumPy, which has no products in this class",
    "compile": "autograd has no compiler: it traces each call anew",
}
COMPILERS: tuple[str, ...] = ()
WORKLOADS: tuple[str, ...] = ()
SWITCHES: dict[str, tuple[str, ...]] = {}
TAKES_GPU = False
FIRST_LINES = """
import autograd.numpy as np
from autograd import grad

def loss(w):
    return np.mean((np.dot(np.ones((8, 3)), w) - 1.0) ** 2)

ones = np.ones(3)
gradient = grad(lambda x: np.sum(x * x))(ones)
weights = np.zeros(3)
losses = [float(loss(weights))]
weights = weights - 0.1 * grad(loss)(weights)
losses.append(float(loss(weights)))
np.save("weights.npy", weights)
loaded = np.load("weights.npy")

import json
print(json.dumps({"sum": float(ones.sum()), "gradient": gradient.tolist(), "losses": losses,
                  "loaded": bool((loaded == weights).all()), "device": "cpu: NumPy has no other"}))
"""

Weights = dict[str, Any]

_DTYPES = {"f64": numpy.float64, "f32": numpy.float32}


def describe() -> dict[str, Any]:
    return {"name": "autograd", "version": metadata.version("autograd"), "numpy": numpy.__version__}


def be_deterministic() -> None:
    """Nothing to turn on: on one machine NumPy gives the same sums for the same arrays."""


def use_device(device: str) -> None:
    if device == "gpu":
        raise DeviceMissing("autograd computes with NumPy, on the CPU only")


def matmul(a: numpy.ndarray, b: numpy.ndarray, precision: str) -> numpy.ndarray:
    return (_array(a, precision) @ _array(b, precision)).astype(numpy.float64)


def conv2d(x: numpy.ndarray, w: numpy.ndarray, precision: str) -> numpy.ndarray:
    return _conv(_array(x, precision), _array(w, precision), _as_is).astype(numpy.float64)


def train_parity(problem: Problem, precision: str, fault: str) -> dict[str, Any]:
    return _train(problem, precision, fault, _start(problem, precision), problem.steps)


def train_compiled(problem: Problem, precision: str, compiler: str) -> dict[str, Any]:
    raise Cannot(CANNOT["compile"])


def train_digits(digits: Digits, seed: int) -> dict[str, Any]:
    random = numpy.random.RandomState(seed)
    weights = {
        "conv.w": _normal(random, (16, 1, 3, 3), 9),
        "conv.b": numpy.zeros(16, numpy.float32),
        "dense.w": _normal(random, (16 * 9, 10), 16 * 9),
        "dense.b": numpy.zeros(10, numpy.float32),
    }
    velocity = {name: numpy.zeros_like(value) for name, value in weights.items()}
    step = autograd.value_and_grad(lambda w, images, labels: _cross_entropy(_logits(w, images), labels))
    losses: list[float] = []
    start = time.perf_counter()
    for epoch in range(12):
        for images, labels in digits.epoch(32, seed + epoch):
            loss, gradients = step(weights, images, labels)
            _sgd(weights, velocity, gradients, 0.1, 0.9)
            losses.append(float(loss))
    seconds = (time.perf_counter() - start) / len(losses)
    predictions = _logits(weights, digits.test_images).argmax(1)
    return {"predictions": predictions, "losses": losses, "seconds_per_step": seconds}


def train_sequence(lines: Lines, seed: int) -> dict[str, Any]:
    weights = _reader(numpy.random.RandomState(seed), len(lines.alphabet))
    batches = list(lines.epoch(32, seed))
    losses: list[float] = []

    def gradient(w: Weights, step: int) -> Weights:
        loss, gradients = autograd.value_and_grad(_nats_each)(w, batches[step])
        losses.append(float(loss))
        return _clipped(gradients, 1.0)

    start = time.perf_counter()
    weights = _adam(gradient, weights, len(batches), 0.02)
    seconds = (time.perf_counter() - start) / len(batches)
    tests = lines.tests(64)
    nats = sum(float(_nats_each(weights, one)) * float(one.mask.sum()) for one in tests)
    bits = nats / sum(float(one.mask.sum()) for one in tests) / math.log(2)
    return {"bits": bits, "losses": losses, "seconds_per_step": seconds}


def train_workload(name: str, digits: Digits, seed: int) -> dict[str, Any]:
    raise Cannot("autograd has no companion libraries here")


def save_checkpoint(problem: Problem, precision: str, steps: int, folder: str) -> None:
    """In NumPy's own format, since autograd has none: its weights are NumPy arrays."""
    state = _start(problem, precision)
    _train(problem, precision, "", state, steps)
    arrays = {kind + name: value for kind, part in zip("wv", state) for name, value in part.items()}
    numpy.savez(Path(folder, "checkpoint.npz"), steps=steps, **arrays)


def continue_checkpoint(problem: Problem, precision: str, folder: str) -> dict[str, Any]:
    with numpy.load(Path(folder, "checkpoint.npz")) as saved:
        weights, velocity = ({name: saved[kind + name] for name in problem.weights} for kind in "wv")
        steps = problem.steps - int(saved["steps"])
    return _train(problem, precision, "", (weights, velocity), steps)


def load_batches(count: int, workers: int) -> list[float]:
    return [float(np.sum(batch)) for batch in loader.batches(count, workers)]


def device_evidence(device: str) -> dict[str, Any]:
    if device == "gpu":
        raise DeviceMissing("autograd computes with NumPy, on the CPU only")
    result = matmul(numpy.ones((256, 256)), numpy.ones((256, 256)), "f32")
    return {"device": _kind(result), "name": "cpu", "bytes": 0, "kernels": 0}


def _kind(array: Any) -> str:
    return "cpu" if isinstance(array, numpy.ndarray) else type(array).__name__


def _array(value: numpy.ndarray, precision: str) -> numpy.ndarray:
    return numpy.asarray(value, dtype=_DTYPES[precision])


def _start(problem: Problem, precision: str) -> tuple[Weights, Weights]:
    weights = {name: _array(value, precision) for name, value in problem.weights.items()}
    return weights, {name: numpy.zeros_like(value) for name, value in weights.items()}


def _train(
    problem: Problem, precision: str, fault: str, state: tuple[Weights, Weights], steps: int
) -> dict[str, Any]:
    weights, velocity = state
    rounded = _rounded if fault == "inputs-tf32" else _as_is
    images = _array(problem.images, precision)
    step = autograd.value_and_grad(lambda w: _loss(w, images, problem.labels, rounded))
    losses: list[float] = []
    first: Weights = {}
    for number in range(steps):
        loss, gradients = step(weights)
        if fault == "bias-gradient-dropped":
            gradients["conv.b"] = numpy.zeros_like(gradients["conv.b"])
        losses.append(float(loss))
        first = gradients if number == 0 else first
        _sgd(weights, velocity, gradients, problem.lr, problem.momentum)
    return {
        "losses": losses,
        "gradients": {name: numpy.asarray(value, numpy.float64) for name, value in first.items()},
        "weights": {name: numpy.asarray(value, numpy.float64) for name, value in weights.items()},
        "device": _kind(weights["conv.w"]),
    }


def _loss(w: Weights, images: Any, labels: Any, rounded: Callable[[Any], Any]) -> Any:
    x = _pool(np.tanh(_conv(images, w["conv.w"], rounded) + w["conv.b"][:, None, None]))
    x = np.reshape(x, (len(images), -1))
    x = np.tanh(rounded(x) @ rounded(w["dense1.w"]) + w["dense1.b"])
    return _cross_entropy(rounded(x) @ rounded(w["dense2.w"]) + w["dense2.b"], labels)


def _conv(x: Any, w: Any, rounded: Callable[[Any], Any]) -> Any:
    """A valid convolution as one product over patches; autograd's own runs in Python, element by element."""
    rows, columns = x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1
    shifts = [(i, j) for i in range(w.shape[2]) for j in range(w.shape[3])]
    patches = np.stack([x[:, :, i : i + rows, j : j + columns] for i, j in shifts], axis=2)
    flat = np.reshape(patches, (x.shape[0], -1, rows * columns))
    out = rounded(np.reshape(w, (w.shape[0], -1))) @ rounded(flat)
    return np.reshape(out, (x.shape[0], w.shape[0], rows, columns))


def _pool(x: Any) -> Any:
    batch, channels, height, width = x.shape
    return np.mean(np.reshape(x, (batch, channels, height // 2, 2, width // 2, 2)), axis=(3, 5))


def _cross_entropy(logits: Any, labels: Any) -> Any:
    return -np.mean(_log_softmax(logits)[np.arange(len(labels)), labels])


def _log_softmax(logits: Any) -> Any:
    shifted = logits - np.max(logits, axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))


def _sgd(weights: Weights, velocity: Weights, gradients: Weights, lr: float, momentum: float) -> None:
    for name in weights:
        velocity[name] = momentum * velocity[name] + gradients[name]
        weights[name] = weights[name] - lr * velocity[name]


def _as_is(x: Any) -> Any:
    return x


@primitive
def _rounded(x: Any) -> Any:
    """x rounded to tf32's eleven bits; the gradient passes as if it were not."""
    return tf32.rounded(x)


defvjp(_rounded, lambda _answer, _x: lambda gradient: gradient)


def _normal(random: numpy.random.RandomState, shape: tuple[int, ...], inputs: int) -> numpy.ndarray:
    return (random.standard_normal(shape) / math.sqrt(inputs)).astype(numpy.float32)


def _logits(w: Weights, images: Any) -> Any:
    x = np.maximum(_conv(images, w["conv.w"], _as_is) + w["conv.b"][:, None, None], 0)
    return np.reshape(_pool(x), (len(images), -1)) @ w["dense.w"] + w["dense.b"]


def _reader(random: numpy.random.RandomState, alphabet: int, hidden: int = 64) -> Weights:
    """A GRU's weights, by gate: no slices, whose gradients autograd fills in element by element."""
    weights = {"out": _normal(random, (hidden, alphabet), hidden), "out.bias": numpy.zeros(alphabet, numpy.float32)}
    for gate in ("reset", "update", "candidate"):
        weights["in." + gate] = _normal(random, (alphabet, hidden), 8)
        weights["state." + gate] = _normal(random, (hidden, hidden), hidden)
        weights["bias." + gate] = numpy.zeros(hidden, numpy.float32)
    return weights


def _nats_each(w: Weights, batch: TextBatch) -> Any:
    """The mean cross-entropy of a batch's characters. The graph that is traced is as long as its longest line."""
    one_hot = numpy.eye(len(w["out.bias"]), dtype=numpy.float32)
    state = numpy.zeros((len(batch.inputs), len(w["bias.reset"])), numpy.float32)
    total = 0.0
    for now in range(batch.inputs.shape[1]):
        state = _gru(w, one_hot[batch.inputs[:, now]], state)
        log_p = _log_softmax(state @ w["out"] + w["out.bias"])
        total = total - np.sum(log_p * (one_hot[batch.targets[:, now]] * batch.mask[:, now, None]))
    return total / float(batch.mask.sum())


def _gru(w: Weights, x: Any, state: Any) -> Any:
    reset, update = (
        0.5 + 0.5 * np.tanh(0.5 * (x @ w["in." + gate] + state @ w["state." + gate] + w["bias." + gate]))
        for gate in ("reset", "update")
    )
    candidate = np.tanh(x @ w["in.candidate"] + (reset * state) @ w["state.candidate"] + w["bias.candidate"])
    return update * state + (1 - update) * candidate


def _clipped(gradients: Mapping[str, Any], largest: float) -> Weights:
    norm = math.sqrt(sum(float(numpy.sum(value**2)) for value in gradients.values()))
    return {name: value * min(1.0, largest / norm) for name, value in gradients.items()}


def _adam(gradient: Callable[[Weights, int], Weights], weights: Weights, steps: int, rate: float) -> Weights:
    """Adam, kept in float32: autograd.misc's own turns the weights to float64, and takes twice the time."""
    x, unflatten = flatten(weights)
    m, v = numpy.zeros_like(x), numpy.zeros_like(x)
    for step in range(steps):
        g, _ = flatten(gradient(unflatten(x), step))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x = x - rate * (m / (1 - 0.9 ** (step + 1))) / (numpy.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8)
    return unflatten(x)
