"""Mistakes, in JAX."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

jax.config.update("jax_num_cpu_devices", 2)  # for weights on two devices
compiled = jax.jit
NO_LOSSES = "JAX itself has no losses: a user writes the difference"
CANNOT = {"broadcast-loss": NO_LOSSES, "broadcast-loss-compiled": NO_LOSSES}
NOTES = {
    "two-devices-compiled": "jax.jit moves what a function closes over; an argument on another device it refuses"
}


def eager(function: Any) -> Any:
    return function


def train(task: Any, loss_of: Any, weights: Any, how: Any, batches: Any = None) -> list[float]:
    @how
    def update(weights: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights, x, y)
        return loss, jax.tree.map(lambda one, by: one - task.rate * by, weights, gradients)

    losses = []
    for x, y in batches or task.batches():
        loss, weights = update(weights, jnp.array(x), jnp.array(y))
        losses.append(float(loss))
    return losses


def cross_entropy(scores: Any, y: Any) -> Any:
    return -jax.nn.log_softmax(scores)[jnp.arange(len(y)), y].mean()


def wrong_shape(task: Any, how: Any) -> Any:
    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        w1, w2, narrow = weights
        h = jnp.tanh(x @ w1)
        print(h)
        h = h + x @ narrow  # <- the mistake
        return cross_entropy(h @ w2, y)

    return train(task, loss_of, [task.w1, task.w2, task.narrow], how)


def wrong_dtype(task: Any, how: Any) -> Any:
    jax.config.update("jax_enable_x64", True)  # else there is no int64, and int32 is taken for it

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        w1, w2 = weights
        print(w1)
        h = jnp.tanh(x @ w1)  # <- the mistake
        return cross_entropy(h @ w2, y)

    try:
        return train(task, loss_of, [task.w1, task.w2], how, task.integer_batches())
    finally:
        jax.config.update("jax_enable_x64", False)


def nan(task: Any, how: Any) -> Any:
    def loss_of(weights: Any, h: Any, _: Any) -> Any:
        for number, w in enumerate(weights, 1):
            if number == 7:
                print(h)
                h = h / jnp.sqrt((h**2).mean(1, keepdims=True))  # <- the mistake
            h = jnp.tanh(h @ w)
        return (h**2).mean()

    return train(task, loss_of, task.deep, how, task.empty_batches())


def nan_checked(task: Any, how: Any) -> Any:
    with jax.debug_nans(True):
        return nan(task, how)


def label_range(task: Any, how: Any) -> Any:
    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        w1, w2 = weights
        scores = jnp.tanh(x @ w1) @ w2
        print(scores)
        return -jax.nn.log_softmax(scores)[jnp.arange(len(y)), y].mean()  # <- the mistake

    return train(task, loss_of, [task.w1, task.w2], how, task.bad_label_batches())


def gradients_kept(task: Any, how: Any) -> Any:
    return "jax.grad returns gradients as values: there is nothing that they could be added to"


def two_devices(task: Any, how: Any) -> Any:
    here, there = jax.devices("cpu")
    gain = jax.device_put(task.gain, there)

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        w1, w2 = weights
        h = jnp.tanh(x @ w1)
        print(h)
        h = h * gain  # <- the mistake
        return cross_entropy(h @ w2, y)

    return train(task, loss_of, jax.device_put([task.w1, task.w2], here), how)


def in_place(task: Any, how: Any) -> Any:
    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        w1, w2 = weights
        h = jnp.tanh(x @ w1)
        print(h)
        h[0] = 0  # <- the mistake
        return cross_entropy(h @ w2, y)

    return train(task, loss_of, [task.w1, task.w2], how)


def broadcast(task: Any, how: Any) -> Any:
    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        w1, w2 = weights
        values = jnp.tanh(x @ w1) @ w2
        print(values)
        return ((values - y) ** 2).mean()  # <- the mistake

    return train(task, loss_of, [task.w1, task.w_one], how, task.regression_batches())


def own_print(task: Any, how: Any) -> Any:
    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        w1, w2 = weights
        h = jnp.tanh(x @ w1)
        jax.debug.print("{}", h)
        return cross_entropy(h @ w2, y)

    losses = train(task, loss_of, [task.w1, task.w2], how)
    jax.effects_barrier()
    return losses
