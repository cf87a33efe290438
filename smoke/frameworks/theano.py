"""Theano, and Keras on it. What each function does: ``smoke.frameworks``."""

# The functions are documented once, in smoke.frameworks, and have one signature in each file.
# ruff: noqa: D103
from __future__ import annotations

import ctypes
import functools
import math
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
import pygpu.gpuarray
import theano
import theano.tensor as T
from theano.gof import cmodule
from theano.misc import pkl_utils
from theano.tensor.signal.pool import pool_2d

from smoke.data import Digits, Lines, TextBatch
from smoke.frameworks import DeviceMissing
from smoke.installed import versions
from smoke.kit import cupti, headers, loader, tf32
from smoke.reference import Problem

CANNOT: dict[str, str] = {
    "tf32": "Theano has no way to ask for products in this class",
    "fp16": "Theano has no mixed training in float16",
    "bf16": "Theano has no bfloat16",
}
# Theano compiles whatever it runs, operation by operation, and its C virtual machine calls them. (Its linker "c", for
# which a step is one C program, wants a BLAS to link: without one Dot22 has no C code.)
COMPILERS: tuple[str, ...] = ("cvm",)
WORKLOADS: tuple[str, ...] = ("keras",)
SWITCHES: dict[str, tuple[str, ...]] = {
    # Processes that compile into one folder wait for each other.
    "environment": ("THEANO_FLAGS=base_compiledir=$TMPDIR,$THEANO_FLAGS",),
    "process": ("gcc.cxxflags=-include (what all modules include, compiled once)",),
    "gpu": ("gpuarray.use(cuda)", "CUPTI, which counts kernels"),
    "deterministic": ("theano.config.deterministic=more",),
}
TAKES_GPU = False
FIRST_LINES = """
import pickle
import numpy
import theano
import theano.tensor as T

x = T.vector("x")
ones = numpy.ones(3, theano.config.floatX)
total = theano.function([x], x.sum())
gradient = theano.function([x], T.grad((x * x).sum(), x))
weights = theano.shared(numpy.zeros(3, theano.config.floatX), name="weights")
inputs = T.matrix("inputs")
loss = T.mean((T.dot(inputs, weights) - 1) ** 2)
train = theano.function([inputs], loss, updates=[(weights, weights - 0.1 * T.grad(loss, weights))])
batch = numpy.ones((8, 3), theano.config.floatX)
losses = [float(train(batch)), float(train(batch))]
with open("weights.pkl", "wb") as file:
    pickle.dump(weights, file)
with open("weights.pkl", "rb") as file:
    loaded = pickle.load(file)

import json
print(json.dumps({"sum": float(total(ones)), "gradient": gradient(ones).tolist(), "losses": losses,
                  "loaded": bool((loaded.get_value() == weights.get_value()).all()), "device": theano.config.device}))
"""

Weights = dict[str, Any]

_HIDDEN = 96  # a number, and no shape: all that is computed of shapes is compiled too
_DTYPES = {"f64": "float64", "f32": "float32"}
# What the C++ of every module begins with, and what most operations add.
_HEADERS = "Python.h iostream theano_mod_helper.h math.h numpy/arrayobject.h numpy/arrayscalars.h vector algorithm"
_counter: Optional[cupti.Counter] = None


def describe() -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": "theano",
        "version": theano.__version__,
        "numpy": np.__version__,
        "pygpu": pygpu.__version__,
        "cuda": versions.versions("libnvrtc.so", ctypes.CDLL("libnvrtc.so.11.2"))[1],
        "cudnn": None,
        "compiler": theano.config.cxx,
        "blas": theano.config.blas.ldflags or "NumPy's",
    }
    if _counter is not None:
        told["gpu"] = theano.gpuarray.type.get_context(None).devname
    return told


def be_deterministic() -> None:
    theano.config.deterministic = "more"


def use_device(device: str) -> None:
    global _counter  # noqa: PLW0603 -- Theano's device is global too
    _precompile_headers()
    if device == "cpu" or _counter is not None:
        return
    from theano import gpuarray  # takes seconds

    try:
        if not pygpu.gpuarray.count_devices("cuda", 0):
            raise DeviceMissing("libgpuarray counts no GPU")
        _counter = cupti.Counter(cupti.library(Path(theano.__file__).parents[1]))
        # From here on shared variables lie on the GPU, and what is compiled works there.
        gpuarray.use("cuda")
    except pygpu.gpuarray.GpuArrayException as why:
        raise DeviceMissing(_said(why)) from None


def _precompile_headers() -> None:
    """Parsing them takes g++ half of the time that a module takes, and there are over a hundred modules."""
    flags = ["-shared", "-g", "-O3", "-fno-math-errno", "-fvisibility=hidden", *cmodule.GCC_compiler.compile_args()]
    command = [theano.config.cxx, *flags, *("-I" + folder for folder in cmodule.std_include_dirs())]
    header = headers.precompiled(command, _HEADERS.split(), Path(tempfile.gettempdir()))
    theano.config.gcc.cxxflags = f"{theano.config.gcc.cxxflags} -include {header}"


def matmul(a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
    return _product(precision)(_array(a, precision), _array(b, precision)).astype(np.float64)


def conv2d(x: np.ndarray, w: np.ndarray, precision: str) -> np.ndarray:
    return _convolution(precision)(_array(x, precision), _array(w, precision)).astype(np.float64)


def train_parity(problem: Problem, precision: str, fault: str) -> dict[str, Any]:
    return _train(_step(precision, fault, ""), problem, precision)


def train_compiled(problem: Problem, precision: str, compiler: str) -> dict[str, Any]:
    before = _modules()
    found = _train(_step(precision, "", compiler), problem, precision)
    return {**found, "compiled": len(_modules() - before)}


def train_digits(digits: Digits, seed: int) -> dict[str, Any]:
    random = np.random.RandomState(seed)
    weights = {
        "conv1.w": _normal(random, (16, 1, 3, 3), 9), "conv1.b": _zeros(16),
        "conv2.w": _normal(random, (32, 16, 3, 3), 144), "conv2.b": _zeros(32),
        "dense.w": _normal(random, (32 * 4, 10), 128), "dense.b": _zeros(10),
    }  # fmt: skip
    images, labels = T.ftensor4("images"), T.lvector("labels")
    logits = _logits(weights, images)
    loss = _cross_entropy(logits, labels)
    velocity = {name: _zeros(value.get_value(borrow=True).shape) for name, value in weights.items()}
    updates = _sgd(weights, velocity, _gradients(loss, weights), np.float32(0.1), np.float32(0.9))
    step = theano.function([images, labels], loss, updates=updates)
    losses, seconds = _epochs(step, digits, seed)
    predictions = theano.function([images], logits.argmax(1))(digits.test_images)
    return {"predictions": predictions, "losses": losses, "seconds_per_step": seconds}


def _epochs(step: Callable[[Any, Any], Any], digits: Digits, seed: int) -> tuple[list[float], float]:
    """The losses of eight epochs, and the seconds that a step took."""
    start = time.perf_counter()
    batches = (batch for epoch in range(8) for batch in digits.epoch(32, seed + epoch))
    losses = [float(step(images, labels)) for images, labels in batches]
    return losses, (time.perf_counter() - start) / len(losses)


def train_sequence(lines: Lines, seed: int) -> dict[str, Any]:
    weights = _reader(np.random.RandomState(seed), len(lines.alphabet), _HIDDEN)
    text = T.lmatrix("inputs"), T.lmatrix("targets"), T.fmatrix("mask")
    nats = _nats(weights, *text)
    loss = nats / text[2].sum()
    updates = _adam(weights, _clipped(_gradients(loss, weights), 1.0), 0.02)
    step, measure = theano.function(text, loss, updates=updates), theano.function(text, nats)
    start = time.perf_counter()
    losses = [float(step(*_by_time(batch))) for batch in lines.epoch(32, seed)]
    seconds = (time.perf_counter() - start) / len(losses)
    tests = lines.tests(64)
    total = sum(float(measure(*_by_time(batch))) for batch in tests)
    bits = total / sum(float(batch.mask.sum()) for batch in tests) / math.log(2)
    return {"bits": bits, "losses": losses, "seconds_per_step": seconds}


def train_workload(name: str, digits: Digits, seed: int) -> dict[str, Any]:  # noqa: ARG001 -- there is but one
    """A network of Keras's own layers, loss and optimizer, on Keras's backend for Theano."""
    import keras  # takes seconds, and only this needs it

    if keras.backend.backend() != "theano":
        raise RuntimeError(f"Keras is on {keras.backend.backend()}: set KERAS_BACKEND=theano")
    np.random.seed(seed)
    keras.backend.set_image_data_format("channels_first")
    layers = keras.layers
    network = keras.Sequential([
        layers.Conv2D(16, 3, padding="same", activation="relu", input_shape=(1, 8, 8)), layers.MaxPooling2D(),
        layers.Conv2D(32, 3, padding="same", activation="relu"), layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    network.compile(keras.optimizers.SGD(0.1, 0.9), "sparse_categorical_crossentropy")
    losses, seconds = _epochs(network.train_on_batch, digits, seed)
    return {
        "predictions": network.predict(digits.test_images).argmax(1),
        "losses": losses,
        "seconds_per_step": seconds,
    }


def save_checkpoint(problem: Problem, precision: str, steps: int, folder: str) -> None:
    """The shared variables, as Theano pickles them: their arrays in NumPy's format, all in one archive."""
    step = _step(precision, "", "")
    _train(step, problem, precision, steps)
    with Path(folder, "checkpoint.zip").open("wb") as file:
        pkl_utils.dump((steps, step.weights, step.velocity), file)


def continue_checkpoint(problem: Problem, precision: str, folder: str) -> dict[str, Any]:
    with Path(folder, "checkpoint.zip").open("rb") as file:
        steps, weights, velocity = pkl_utils.load(file)
    step = _step(precision, "", "")
    for own, saved in ((step.weights, weights), (step.velocity, velocity)):
        for name, value in own.items():
            value.set_value(saved[name].get_value())
    return _go_on(step, problem, precision, problem.steps - steps)


def load_batches(count: int, workers: int) -> list[float]:
    """Theano has no loader: the batches come from Python's worker processes."""
    batch = T.ftensor3("batch")
    total = theano.function([batch], batch.sum())
    return [float(total(one)) for one in loader.batches(count, workers)]


def device_evidence(device: str) -> dict[str, Any]:
    before = _kernels()
    result = theano.shared(np.zeros((1, 1, 254, 254), np.float32), broadcastable=(True, False, False, False))
    a = theano.shared(np.ones((256, 256), np.float32))
    w = theano.shared(np.ones((1, 1, 3, 3), np.float32))
    theano.function([], updates=[(result, T.nnet.conv2d(T.dot(a, a).dimshuffle("x", "x", 0, 1), w))])()
    value = result.get_value(borrow=True, return_internal_type=True)
    return {
        "device": _kind(result),
        "name": theano.gpuarray.type.get_context(None).devname if device == "gpu" else "cpu",
        "bytes": value.size * value.itemsize if _kind(result) == "gpu" else 0,
        "kernels": _kernels() - before,
    }


def _kind(variable: Any) -> str:
    """Where a shared variable's value is, by its type."""
    value = variable.get_value(borrow=True, return_internal_type=True)
    if isinstance(value, pygpu.gpuarray.GpuArray):
        return "gpu"
    return "cpu" if isinstance(value, np.ndarray) else type(value).__name__


def _kernels() -> int:
    return _counter.count() if _counter is not None else 0


def _said(why: Exception) -> str:
    """libgpuarray's own words: pygpu gives them as bytes."""
    text = why.args[0] if why.args else ""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(why)


def _array(value: Any, precision: str) -> np.ndarray:
    return np.asarray(value, _DTYPES[precision])


def _modules() -> set[str]:
    """The C modules that this process has compiled, or found compiled, and loaded."""
    return set(cmodule.get_module_cache(theano.config.compiledir).module_from_name)


@functools.cache
def _product(precision: str) -> Any:
    a, b = (T.matrix(name, _DTYPES[precision]) for name in "ab")
    return theano.function([a, b], T.dot(a, b))


@functools.cache
def _convolution(precision: str) -> Any:
    x, w = (T.tensor4(name, _DTYPES[precision]) for name in "xw")
    return theano.function([x, w], _conv(x, w))


def _conv(x: Any, w: Any, border: str = "valid") -> Any:
    return T.nnet.conv2d(x, w, border_mode=border, filter_flip=False)  # cross-correlation, as elsewhere


class _Step(NamedTuple):
    """A compiled step of the parity problem, and the variables that it trains."""

    weights: Weights
    velocity: Weights
    function: Any


@functools.cache
def _step(precision: str, fault: str, linker: str) -> _Step:
    """The step in a class of numbers, compiled once: images, labels, rate and momentum are its inputs."""
    dtype = _DTYPES[precision]
    weights, velocity = (
        {name: theano.shared(np.zeros([1] * dimensions, dtype)) for name, dimensions in _DIMENSIONS.items()}
        for _ in range(2)
    )
    images, labels = T.tensor4("images", dtype), T.lvector("labels")
    rate, momentum = T.scalar("rate", dtype), T.scalar("momentum", dtype)
    loss = _loss(weights, images, labels, _Rounded() if fault == "inputs-tf32" else T.as_tensor_variable)
    gradients = _gradients(loss, weights)
    if fault == "bias-gradient-dropped":
        gradients["conv.b"] = T.zeros_like(gradients["conv.b"])
    outputs = [loss, *gradients.values()]
    updates = _sgd(weights, velocity, gradients, rate, momentum)
    mode = theano.Mode(linker=linker, optimizer="fast_run") if linker else None
    function = theano.function([images, labels, rate, momentum], outputs, updates=updates, mode=mode)
    return _Step(weights, velocity, function)


_DIMENSIONS = {"conv.w": 4, "conv.b": 1, "dense1.w": 2, "dense1.b": 1, "dense2.w": 2, "dense2.b": 1}


def _loss(w: Weights, images: Any, labels: Any, rounded: Any) -> Any:
    x = T.tanh(_conv(rounded(images), rounded(w["conv.w"])) + w["conv.b"].dimshuffle("x", 0, "x", "x"))
    x = pool_2d(x, (2, 2), ignore_border=True, mode="average_exc_pad").flatten(2)
    x = T.tanh(T.dot(rounded(x), rounded(w["dense1.w"])) + w["dense1.b"])
    return _cross_entropy(T.dot(rounded(x), rounded(w["dense2.w"])) + w["dense2.b"], labels)


def _cross_entropy(logits: Any, labels: Any) -> Any:
    return T.nnet.categorical_crossentropy(T.nnet.softmax(logits), labels).mean()


def _gradients(loss: Any, weights: Weights) -> Weights:
    return dict(zip(weights, T.grad(loss, list(weights.values()))))


def _sgd(weights: Weights, velocity: Weights, gradients: Weights, rate: Any, momentum: Any) -> list[tuple[Any, Any]]:
    moved = {name: momentum * velocity[name] + gradients[name] for name in weights}
    return [
        *((velocity[name], value) for name, value in moved.items()),
        *((weights[name], weights[name] - rate * value) for name, value in moved.items()),
    ]


def _train(step: _Step, problem: Problem, precision: str, steps: int = 0) -> dict[str, Any]:
    """Trains from the problem's own weights, ``steps`` steps if that is not 0."""
    for name, value in problem.weights.items():
        step.weights[name].set_value(_array(value, precision))
        step.velocity[name].set_value(np.zeros(value.shape, _DTYPES[precision]))
    return _go_on(step, problem, precision, steps or problem.steps)


def _go_on(step: _Step, problem: Problem, precision: str, steps: int) -> dict[str, Any]:
    images = _array(problem.images, precision)
    rate, momentum = (_array(value, precision) for value in (problem.lr, problem.momentum))
    outputs = [step.function(images, problem.labels, rate, momentum) for _ in range(steps)]
    return {
        "losses": [float(loss) for loss, *_ in outputs],
        "gradients": {name: np.asarray(one).astype(np.float64) for name, one in zip(step.weights, outputs[0][1:])},
        "weights": {name: value.get_value().astype(np.float64) for name, value in step.weights.items()},
        "device": _kind(step.weights["conv.w"]),
    }


class _Rounded(theano.Op):
    """x rounded to tf32's eleven bits, by masking; the gradient passes as if it were not."""

    __props__ = ()

    def make_node(self, x: Any) -> Any:
        return theano.Apply(self, [x], [x.type()])

    def perform(self, node: Any, inputs: Any, outputs: Any) -> None:  # noqa: ARG002 -- Theano's signature
        outputs[0][0] = tf32.rounded(inputs[0])

    def infer_shape(self, node: Any, shapes: Any) -> Any:  # noqa: ARG002
        return shapes

    def grad(self, inputs: Any, gradients: Any) -> Any:  # noqa: ARG002
        return gradients


def _normal(random: np.random.RandomState, shape: tuple[int, ...], inputs: int) -> Any:
    return theano.shared((random.standard_normal(shape) / math.sqrt(inputs)).astype(np.float32))


def _zeros(shape: Any) -> Any:
    return theano.shared(np.zeros(shape, np.float32))


def _logits(w: Weights, images: Any) -> Any:
    x = T.nnet.relu(_conv(images, w["conv1.w"], "half") + w["conv1.b"].dimshuffle("x", 0, "x", "x"))
    x = pool_2d(x, (2, 2), ignore_border=True, mode="max")
    x = T.nnet.relu(_conv(x, w["conv2.w"], "half") + w["conv2.b"].dimshuffle("x", 0, "x", "x"))
    x = pool_2d(x, (2, 2), ignore_border=True, mode="max")
    return T.dot(x.flatten(2), w["dense.w"]) + w["dense.b"]


def _reader(random: np.random.RandomState, alphabet: int, hidden: int) -> Weights:
    """A GRU's weights: gates (reset, update) and candidate, each over the character and the state."""
    return {
        "in": _normal(random, (alphabet, 3 * hidden), 8), "gates": _normal(random, (hidden, 2 * hidden), hidden),
        "candidate": _normal(random, (hidden, hidden), hidden), "bias": _zeros(3 * hidden),
        "out": _normal(random, (hidden, alphabet), hidden), "out.bias": _zeros(alphabet),
    }  # fmt: skip


def _by_time(batch: TextBatch) -> tuple[np.ndarray, ...]:
    """A batch's arrays with time first, the axis that scan goes along."""
    return tuple(np.ascontiguousarray(one.T) for one in (batch.inputs, batch.targets, batch.mask))


def _nats(w: Weights, inputs: Any, targets: Any, mask: Any) -> Any:
    """The summed cross-entropy of a batch: scan makes as many steps as its longest line has characters."""
    start = T.zeros((inputs.shape[1], _HIDDEN), "float32")
    sequences = w["in"][inputs.flatten()].reshape((inputs.shape[0], inputs.shape[1], 3 * _HIDDEN)) + w["bias"]
    states, _ = theano.scan(_gru, sequences, [start], [w["gates"], w["candidate"]], strict=True)
    logits = T.dot(states.reshape((-1, _HIDDEN)), w["out"]) + w["out.bias"]
    nats = T.nnet.categorical_crossentropy(T.nnet.softmax(logits), targets.flatten())
    return (nats * mask.flatten()).sum()


def _gru(read: Any, state: Any, w_gates: Any, w_candidate: Any) -> Any:
    gates = T.nnet.sigmoid(read[:, : 2 * _HIDDEN] + T.dot(state, w_gates))
    reset, update = gates[:, :_HIDDEN], gates[:, _HIDDEN:]
    candidate = T.tanh(read[:, 2 * _HIDDEN :] + T.dot(reset * state, w_candidate))
    return update * state + (np.float32(1) - update) * candidate


def _clipped(gradients: Weights, largest: float) -> Weights:
    norm = T.sqrt(sum((value**2).sum() for value in gradients.values()))
    scale = T.minimum(np.float32(1), np.float32(largest) / norm)
    return {name: value * scale for name, value in gradients.items()}


def _adam(weights: Weights, gradients: Weights, rate: float) -> list[tuple[Any, Any]]:
    count = theano.shared(np.float32(0))
    now = count + np.float32(1)
    first, second, small = np.float32(0.9), np.float32(0.999), np.float32(1e-8)
    updates = [(count, now)]
    for name, value in weights.items():
        m, v = (_zeros(value.get_value(borrow=True).shape) for _ in range(2))
        new_m = first * m + (np.float32(1) - first) * gradients[name]
        new_v = second * v + (np.float32(1) - second) * gradients[name] ** 2
        moved = new_m / (np.float32(1) - first**now) / (T.sqrt(new_v / (np.float32(1) - second**now)) + small)
        updates += [(m, new_m), (v, new_v), (value, value - np.float32(rate) * moved)]
    return updates
