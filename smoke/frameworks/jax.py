"""JAX. What each function does: ``smoke.frameworks``."""

# The functions are documented once, in smoke.frameworks, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import functools
import math
import time
from pathlib import Path
from typing import Any, Callable

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax import lax

from smoke.data import Digits, Lines, TextBatch
from smoke.frameworks import Cannot
from smoke.frameworks._backends import jax as backend
from smoke.kit import loader
from smoke.reference import Problem

CANNOT: dict[str, str] = {}
COMPILERS: tuple[str, ...] = ("jit",)
WORKLOADS: tuple[str, ...] = ()
SWITCHES: dict[str, tuple[str, ...]] = {
    "gpu": ("jax_platforms=cuda,cpu",),
    "cpu": ("jax_platforms=cpu",),
    "deterministic": ("XLA_FLAGS=--xla_gpu_deterministic_ops=true",),
    "f32": ("jax_default_matmul_precision=highest",),
    "f64": ("jax_enable_x64", "jax_default_matmul_precision=highest"),
    "tf32": ("jax_default_matmul_precision=tensorfloat32",),
}
TAKES_GPU = True
FIRST_LINES = """
import jax
import jax.numpy as jnp

def loss(w):
    return jnp.mean((jnp.ones((8, 3)) @ w - 1.0) ** 2)

ones = jnp.ones(3)
gradient = jax.grad(lambda x: jnp.sum(x * x))(ones)
weights = jax.random.normal(jax.random.key(0), (3,))
step = jax.jit(jax.value_and_grad(loss))
before, slope = step(weights)
weights = weights - 0.1 * slope
jnp.save("weights.npy", weights)
loaded = jnp.load("weights.npy")

import json
losses = [float(before), float(loss(weights))]
print(json.dumps({"sum": float(ones.sum()), "gradient": gradient.tolist(), "losses": losses,
                  "loaded": bool((loaded == weights).all()), "device": str(weights.device)}))
"""

Weights = dict[str, Any]
State = tuple[Weights, Weights]  # the weights and their velocity
Constants = tuple[Any, Any, Any, Any]
_DTYPES = {"f64": jnp.float64, "fp16": jnp.float16, "bf16": jnp.bfloat16}
_LOSS_SCALE = 1024.0  # a power of two, so that it rounds nothing: it keeps small float16 gradients from vanishing


def describe() -> dict[str, Any]:
    platform = jax.devices()[0].client.platform_version
    return {"name": "jax", "jaxlib": jaxlib.__version__, "backend": platform, **backend.describe()}


def be_deterministic() -> None:
    backend.be_deterministic()


def use_device(device: str) -> None:
    backend.use_device(device)


def matmul(a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
    with backend.products(precision):
        return _numpy(jnp.matmul(_array(a, precision), _array(b, precision)))


def conv2d(x: np.ndarray, w: np.ndarray, precision: str) -> np.ndarray:
    with backend.products(precision):
        return _numpy(_conv(_array(x, precision), _array(w, precision)))


def train_parity(problem: Problem, precision: str, fault: str) -> dict[str, Any]:
    with backend.products(precision):
        return _train(problem, precision, fault, _start(problem, precision), problem.steps)


def train_compiled(problem: Problem, precision: str, compiler: str) -> dict[str, Any]:
    """All the steps as one program, compiled ahead; ``train_parity`` compiles a step, as JAX's users do."""
    with backend.products(precision):
        constants = _constants(problem, precision)

        def whole(state: State) -> tuple[State, Any]:
            def step(state: State, _: Any) -> tuple[State, Any]:
                state, loss, gradients = _step(precision, "", state, constants)
                return state, (loss, gradients)

            return lax.scan(step, state, length=problem.steps)

        state = _start(problem, precision)
        program = jax.jit(whole).lower(state).compile()
        (weights, _), (losses, gradients) = program(state)
        first = {name: value[0] for name, value in gradients.items()}
        found = _found([float(loss) for loss in losses], first, weights)
        return {**found, "compiled": int(bool(program.as_text()))}


def train_digits(digits: Digits, seed: int) -> dict[str, Any]:
    weights = _network(jax.random.PRNGKey(seed))
    velocity = {name: jnp.zeros_like(value) for name, value in weights.items()}

    @jax.jit
    def step(weights: Weights, velocity: Weights, images: Any, labels: Any) -> tuple[Weights, Weights, Any]:
        loss, gradients = jax.value_and_grad(lambda w: _cross_entropy(_logits(w, images), labels))(weights)
        return (*_sgd(weights, velocity, gradients, 0.1, 0.9), loss)

    losses: list[float] = []
    start = time.perf_counter()
    for epoch in range(8):
        for images, labels in digits.epoch(32, seed + epoch):
            weights, velocity, loss = step(weights, velocity, images, labels)
            losses.append(float(loss))
    seconds = (time.perf_counter() - start) / len(losses)
    predictions = np.asarray(_logits(weights, jnp.asarray(digits.test_images)).argmax(1))
    return {"predictions": predictions, "losses": losses, "seconds_per_step": seconds}


def train_sequence(lines: Lines, seed: int) -> dict[str, Any]:
    weights = _reader(jax.random.PRNGKey(seed), len(lines.alphabet))
    state = {name: (jnp.zeros_like(value), jnp.zeros_like(value)) for name, value in weights.items()}

    @jax.jit
    def step(weights: Weights, state: Weights, count: Any, *text: Any) -> tuple[Weights, Weights, Any]:
        loss, gradients = jax.value_and_grad(lambda w: _nats(w, *text) / text[2].sum())(weights)
        return (*_adam(weights, state, _clipped(gradients, 1.0), count, 0.02), loss)

    losses: list[float] = []
    start = time.perf_counter()
    for count, batch in enumerate(lines.epoch(32, seed)):
        if len(batch.inputs) < 32:
            continue  # the one short batch would be compiled for itself
        weights, state, loss = step(weights, state, count + 1.0, *_text(batch))
        losses.append(float(loss))
    seconds = (time.perf_counter() - start) / len(losses)
    tests, measure = lines.tests(64), jax.jit(_nats)
    nats = sum(float(measure(weights, *_text(batch))) for batch in tests)
    bits = nats / sum(float(batch.mask.sum()) for batch in tests) / math.log(2)
    return {"bits": bits, "losses": losses, "seconds_per_step": seconds}


def train_workload(name: str, digits: Digits, seed: int) -> dict[str, Any]:
    raise Cannot("JAX's file declares no workload of its own")


def save_checkpoint(problem: Problem, precision: str, steps: int, folder: str) -> None:
    """In NumPy's format, through jax.numpy: JAX itself has no other, and what it trains is a tree of arrays."""
    with backend.products(precision):
        state, constants = _start(problem, precision), _constants(problem, precision)
        for _ in range(steps):
            state, _, _ = _jitted_step(precision, "", state, constants)
    arrays = {kind + name: value for kind, part in zip("wv", state) for name, value in part.items()}
    jnp.savez(Path(folder, "checkpoint.npz"), steps=steps, **arrays)


def continue_checkpoint(problem: Problem, precision: str, folder: str) -> dict[str, Any]:
    with backend.products(precision):
        with jnp.load(Path(folder, "checkpoint.npz")) as saved:
            weights, velocity = ({name: jnp.asarray(saved[kind + name]) for name in problem.weights} for kind in "wv")
            steps = problem.steps - int(saved["steps"])
        return _train(problem, precision, "", (weights, velocity), steps)


def load_batches(count: int, workers: int) -> list[float]:
    """JAX has no loader: the batches come from Python's worker processes."""
    return [float(jnp.asarray(batch).sum()) for batch in loader.batches(count, workers)]


def device_evidence(device: str) -> dict[str, Any]:
    where = jax.devices(device)[0]
    with backend.counted() as kernels:
        a = jax.device_put(jnp.ones((256, 256)), where)
        result = _conv((a @ a)[None, None], jax.device_put(jnp.ones((1, 1, 3, 3)), where))
        result.block_until_ready()
    return {
        "device": backend.kind(result),
        "name": where.device_kind,
        "bytes": backend.allocated() if device == "gpu" else 0,
        "kernels": kernels[0],
    }


def _numpy(array: Any) -> np.ndarray:
    return np.asarray(array).astype(np.float64)


def _array(value: np.ndarray, precision: str) -> Any:
    return jnp.asarray(value, dtype=_DTYPES.get(precision, jnp.float32))


def _conv(x: Any, w: Any) -> Any:
    return lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NCHW", "OIHW", "NCHW"))


def _pool(x: Any) -> Any:
    return lax.reduce_window(x, np.zeros((), x.dtype), lax.add, (1, 1, 2, 2), (1, 1, 2, 2), "VALID") / 4


def _start(problem: Problem, precision: str) -> State:
    master = "f64" if precision == "f64" else "f32"
    weights = {name: _array(value, master) for name, value in problem.weights.items()}
    return weights, {name: jnp.zeros_like(value) for name, value in weights.items()}


def _constants(problem: Problem, precision: str) -> Constants:
    """Images, labels, learning rate and momentum: arguments of the step, so that it is compiled once for all."""
    master = "f64" if precision == "f64" else "f32"
    lr, momentum = _array(np.asarray(problem.lr), master), _array(np.asarray(problem.momentum), master)
    return _array(problem.images, master), jnp.asarray(problem.labels), lr, momentum


def _step(precision: str, fault: str, state: State, constants: Constants) -> tuple[State, Any, Weights]:
    """One step of training: the new state, the loss before it, and its gradients."""
    (weights, velocity), (images, labels, lr, momentum) = state, constants
    scale = _LOSS_SCALE if precision == "fp16" else 1.0
    product = _product(precision, fault)
    scaled, gradients = jax.value_and_grad(lambda w: _loss(w, images, labels, product) * scale)(weights)
    gradients = {name: value / scale for name, value in gradients.items()}
    if fault == "bias-gradient-dropped":
        gradients["conv.b"] = jnp.zeros_like(gradients["conv.b"])
    return _sgd(weights, velocity, gradients, lr, momentum), scaled / scale, gradients


_jitted_step = jax.jit(_step, static_argnums=(0, 1))


def _product(precision: str, fault: str) -> Callable[..., Any]:
    """How inputs enter a product: in float16 or bfloat16 where that is asked for, with the result in float32."""

    def product(operation: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
        if fault == "inputs-tf32":
            a, b = _rounded(a), _rounded(b)
        low = _DTYPES[precision] if precision in ("fp16", "bf16") else a.dtype
        return operation(a.astype(low), b.astype(low)).astype(a.dtype)

    return product


def _loss(w: Weights, images: Any, labels: Any, product: Callable[..., Any]) -> Any:
    x = _pool(jnp.tanh(product(_conv, images, w["conv.w"]) + w["conv.b"][:, None, None]))
    x = x.reshape(len(images), -1)
    x = jnp.tanh(product(jnp.matmul, x, w["dense1.w"]) + w["dense1.b"])
    return _cross_entropy(product(jnp.matmul, x, w["dense2.w"]) + w["dense2.b"], labels)


def _cross_entropy(logits: Any, labels: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()


def _sgd(weights: Weights, velocity: Weights, gradients: Weights, lr: Any, momentum: Any) -> State:
    velocity = {name: momentum * velocity[name] + gradients[name] for name in weights}
    return {name: weights[name] - lr * velocity[name] for name in weights}, velocity


@jax.custom_jvp
def _rounded(x: Any) -> Any:
    """x rounded to tf32's eleven bits, by masking; the gradient passes as if it were not."""
    bits = lax.bitcast_convert_type(x, jnp.int32)
    return lax.bitcast_convert_type((bits + 0x1000) & -0x2000, jnp.float32)


_rounded.defjvp(lambda primals, tangents: (_rounded(*primals), tangents[0]))


def _train(problem: Problem, precision: str, fault: str, state: State, steps: int) -> dict[str, Any]:
    constants = _constants(problem, precision)
    losses: list[float] = []
    first: Weights = {}
    for number in range(steps):
        state, loss, gradients = _jitted_step(precision, fault, state, constants)
        losses.append(float(loss))
        first = gradients if number == 0 else first
    return _found(losses, first, state[0])


def _found(losses: list[float], first: Weights, weights: Weights) -> dict[str, Any]:
    return {
        "losses": losses,
        "gradients": {name: _numpy(value) for name, value in first.items()},
        "weights": {name: _numpy(value) for name, value in weights.items()},
        "device": backend.kind(weights["conv.w"]),
    }


def _normal(key: Any, shape: tuple[int, ...], inputs: int) -> Any:
    return jax.random.normal(key, shape) / math.sqrt(inputs)


def _network(key: Any) -> Weights:
    keys = jax.random.split(key, 3)
    return {
        "conv1.w": _normal(keys[0], (16, 1, 3, 3), 9),
        "conv1.b": jnp.zeros(16),
        "conv2.w": _normal(keys[1], (32, 16, 3, 3), 144),
        "conv2.b": jnp.zeros(32),
        "dense.w": _normal(keys[2], (32, 10), 32),
        "dense.b": jnp.zeros(10),
    }


def _logits(w: Weights, images: Any) -> Any:
    x = _pool(jax.nn.relu(_conv(images, w["conv1.w"]) + w["conv1.b"][:, None, None]))
    x = jax.nn.relu(_conv(x, w["conv2.w"]) + w["conv2.b"][:, None, None])
    return x.reshape(len(images), -1) @ w["dense.w"] + w["dense.b"]


def _reader(key: Any, alphabet: int, hidden: int = 96) -> Weights:
    """A GRU's weights: gates (reset, update) and candidate, each over the character and the state."""
    keys = jax.random.split(key, 4)
    return {
        "in": _normal(keys[0], (alphabet, 3 * hidden), 8),
        "gates": _normal(keys[1], (hidden, 2 * hidden), hidden),
        "candidate": _normal(keys[2], (hidden, hidden), hidden),
        "bias": jnp.zeros(3 * hidden),
        "out": _normal(keys[3], (hidden, alphabet), hidden),
        "out.bias": jnp.zeros(alphabet),
    }


def _text(batch: TextBatch) -> tuple[np.ndarray, ...]:
    """A batch with its time axis padded to a multiple of 16, so that few shapes are compiled."""
    more = -batch.inputs.shape[1] % 16
    return tuple(np.pad(one, ((0, 0), (0, more))) for one in (batch.inputs, batch.targets, batch.mask))


def _nats(w: Weights, inputs: Any, targets: Any, mask: Any) -> Any:
    """The summed cross-entropy of a batch. Each step asks the data whether a line still goes on, and branches."""

    def step(carry: Any, now: Any) -> Any:
        return lax.cond(now[2].sum() > 0, functools.partial(_read, w), lambda carry, _now: carry, carry, now), None

    state = jnp.zeros((len(inputs), w["candidate"].shape[0]))
    (_, total), _ = lax.scan(step, (state, jnp.zeros(())), (inputs.T, targets.T, mask.T))
    return total


def _read(w: Weights, carry: Any, now: Any) -> Any:
    (state, total), (characters, targets, mask) = carry, now
    state = _gru(w, characters, state)
    log_p = jax.nn.log_softmax(state @ w["out"] + w["out.bias"])
    return state, total - (jnp.take_along_axis(log_p, targets[:, None], 1)[:, 0] * mask).sum()


def _gru(w: Weights, characters: Any, state: Any) -> Any:
    size = w["candidate"].shape[0]
    read = w["in"][characters] + w["bias"]
    gates = jax.nn.sigmoid(read[:, : 2 * size] + state @ w["gates"])
    reset, update = gates[:, :size], gates[:, size:]
    candidate = jnp.tanh(read[:, 2 * size :] + (reset * state) @ w["candidate"])
    return update * state + (1 - update) * candidate


def _clipped(gradients: Weights, largest: float) -> Weights:
    norm = jnp.sqrt(sum((value**2).sum() for value in gradients.values()))
    return {name: value * jnp.minimum(1.0, largest / norm) for name, value in gradients.items()}


def _adam(weights: Weights, state: Weights, gradients: Weights, count: Any, rate: float) -> tuple[Weights, Weights]:
    state = {
        name: (0.9 * m + 0.1 * gradients[name], 0.999 * v + 0.001 * gradients[name] ** 2)
        for name, (m, v) in state.items()
    }
    moved = {
        name: weights[name] - rate * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)
        for name, (m, v) in state.items()
    }
    return moved, state
