"""The timed networks in JAX, as its documentation writes them: functions of the weights, and one jitted step."""

from __future__ import annotations

from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn

from speed._networks import (
    EPSILON,
    HEADS,
    HIDDEN,
    KEPT,
    LAYERS,
    LEARNING_RATE,
    MOMENTUM,
    Problem,
    Program,
    channels_last,
)

ONE_WAY = "JAX has no other way: its documentation jits the step, so what is written is compiled"
CANNOT = {
    "mlp/32/compiled": ONE_WAY,
    "cnn/32/compiled": ONE_WAY,
    "resnet/8/compiled": ONE_WAY,
    "gru/32/compiled": ONE_WAY,
    "transformer/32/compiled": ONE_WAY,
}
SCAFFOLD = ("moved",)


def dense(w: Any, name: str, x: Any) -> Any:
    return x @ w[f"{name}.w"] + w[f"{name}.b"]


def conv(x: Any, kernel: Any, stride: int = 1) -> Any:
    pad = kernel.shape[0] // 2
    order = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride, stride), ((pad, pad), (pad, pad)), dimension_numbers=order)


def mlp(problem: Problem) -> Program:
    def forward(w: Any, x: Any, _running: Any) -> Any:
        return dense(w, "dense3", nn.relu(dense(w, "dense2", nn.relu(dense(w, "dense1", x))))), {}

    return trained(forward, problem)


def cnn(problem: Problem) -> Program:
    def forward(w: Any, x: Any, _running: Any) -> Any:
        x = nn.relu(conv(x, w["conv1.w"]) + w["conv1.b"])
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = nn.relu(conv(x, w["conv2.w"]) + w["conv2.b"])
        return dense(w, "dense", x.reshape(len(x), -1)), {}

    return trained(forward, problem)


def resnet(problem: Problem) -> Program:
    """The running means and variances, which a trained network needs, are kept beside the weights."""

    def forward(w: Any, x: Any, running: Any) -> Any:
        kept = {}

        def normed(name: str, x: Any, stride: int = 1) -> Any:
            x = conv(x, w[f"{name}.w"], stride)
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            kept[name] = KEPT * running[name] + (1 - KEPT) * lax.stop_gradient(jnp.stack([mean, variance]))
            return (x - mean) * lax.rsqrt(variance + EPSILON) * w[f"{name}.g"] + w[f"{name}.b"]

        x = nn.relu(normed("stem", x))
        for name in ("block1", "block2", "block3"):
            stride = 2 if f"{name}.short.w" in w else 1
            short = normed(f"{name}.short", x, stride) if stride == 2 else x
            x = nn.relu(short + normed(f"{name}.second", nn.relu(normed(f"{name}.first", x, stride))))
        return dense(w, "dense", x.mean((1, 2))), kept

    return trained(forward, problem)


def gru(problem: Problem) -> Program:
    unroll = 8 if problem.how == "tuned" else 1

    def forward(w: Any, x: Any, _running: Any) -> Any:
        def cell(state: Any, read: Any) -> Any:
            (xr, xz, xn), (hr, hz, hn) = jnp.split(read, 3, 1), jnp.split(state @ w["gru.wh"] + w["gru.bh"], 3, 1)
            r, z = nn.sigmoid(xr + hr), nn.sigmoid(xz + hz)
            return (1 - z) * jnp.tanh(xn + r * hn) + z * state, None

        reads = jnp.swapaxes(x @ w["gru.wx"] + w["gru.bx"], 0, 1)
        state, _ = lax.scan(cell, jnp.zeros((len(x), HIDDEN)), reads, unroll=unroll)
        return dense(w, "dense", state), {}

    return trained(forward, problem, ["lax.scan(unroll=8)"])


def transformer(problem: Problem) -> Program:
    def normed(w: Any, name: str, x: Any) -> Any:
        x = x - x.mean(-1, keepdims=True)
        return x * lax.rsqrt((x * x).mean(-1, keepdims=True) + EPSILON) * w[f"{name}.g"] + w[f"{name}.b"]

    def forward(w: Any, tokens: Any, _running: Any) -> Any:
        x = w["token.w"][tokens] + w["position.w"]
        for name in (f"layer{number}" for number in range(LAYERS)):
            parts = (dense(w, f"{name}.{part}", x) for part in ("query", "key", "value"))
            q, k, v = (one.reshape(*one.shape[:2], HEADS, -1) for one in parts)
            attended = nn.dot_product_attention(q, k, v).reshape(x.shape)
            x = normed(w, f"{name}.norm1", x + dense(w, f"{name}.out", attended))
            inner = nn.relu(dense(w, f"{name}.inner", x))
            x = normed(w, f"{name}.norm2", x + dense(w, f"{name}.outer", inner))
        return dense(w, "dense", x.mean(1)), {}

    return trained(forward, problem)


def trained(forward: Callable[..., Any], problem: Problem, tuned: Any = ()) -> Program:
    """forward(weights, inputs, running means and variances) gives the scores and what is running now."""
    weights, batches = moved(problem)
    running = {name[:-2]: jnp.zeros((2, value.size)) for name, value in weights.items() if name.endswith(".g")}
    state = (weights, jax.tree.map(jnp.zeros_like, weights), running if problem.network == "resnet" else {})

    def loss_of(w: Any, running: Any, inputs: Any, labels: Any) -> Any:
        scores, running = forward(w, inputs, running)
        return -jnp.take_along_axis(nn.log_softmax(scores), labels[:, None], 1).mean(), running

    def train(state: Any, inputs: Any, labels: Any) -> Any:
        w, velocity, running = state
        (loss, running), gradients = jax.value_and_grad(loss_of, has_aux=True)(w, running, inputs, labels)
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradients)
        return loss, (jax.tree.map(lambda w, v: w - LEARNING_RATE * v, w, velocity), velocity, running)

    donated = problem.how == "tuned"
    jitted = jax.jit(train, donate_argnums=(0,) if donated else ())

    def step(index: int) -> Any:
        nonlocal state
        loss, state = jax.block_until_ready(jitted(state, *batches[index]))
        return loss

    def scores(inputs: np.ndarray) -> np.ndarray:
        return np.asarray(jax.jit(forward)(state[0], inputs.transpose(0, 2, 3, 1), state[2])[0])

    return Program(step, scores, ["jax.jit", *(["donate_argnums", *tuned] if donated else [])])


def moved(problem: Problem) -> Any:
    """The weights and the batches in JAX's arrays, images NHWC."""
    batches = [
        (jnp.asarray(one.inputs.transpose(0, 2, 3, 1) if one.inputs.ndim == 4 else one.inputs), one.labels)
        for one in problem.batches
    ]
    weights = channels_last(problem.network, problem.weights)
    return jax.tree.map(jnp.asarray, weights), [(x, jnp.asarray(y)) for x, y in batches]
