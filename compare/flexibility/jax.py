"""Flexibility, in JAX."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)
SCAFFOLD = ("network", "loss_of", "loss")


def network(weights: Any, x: Any) -> Any:
    w1, w2 = weights
    return jnp.tanh(x @ w1) @ w2


def loss_of(scores: Any, y: Any) -> Any:
    return 0.5 * ((scores - y) ** 2).sum(-1).mean()


def loss(weights: Any, x: Any, y: Any) -> Any:
    return loss_of(network(weights, x), y)


@jax.custom_vjp
def binarize(inside: Any) -> Any:
    return jnp.sign(inside)


binarize.defvjp(
    lambda inside: (jnp.sign(inside), inside),
    lambda inside, gradient: (gradient * (jnp.abs(inside) <= 1),),
)


def own_operation(task: Any) -> tuple[Any, ...]:
    def binary(w1: Any) -> Any:
        scores = binarize(task.x @ w1) @ task.w2
        return loss_of(scores, task.y), scores

    gradient, scores = jax.grad(binary, has_aux=True)(task.w1)
    return scores, gradient


def own_optimizer(task: Any) -> tuple[Any, ...]:
    def moved(velocity: Any, gradient: Any) -> Any:
        return task.momentum * velocity + gradient / jnp.linalg.norm(gradient)

    @jax.jit
    def step(weights: Any, velocity: Any) -> Any:
        gradients = jax.grad(loss)(weights, task.x, task.y)
        velocity = jax.tree.map(moved, velocity, gradients)
        return jax.tree.map(lambda one, by: one - task.rate * by, weights, velocity), velocity

    weights = task.w1, task.w2
    velocity = jax.tree.map(jnp.zeros_like, weights)
    for _ in range(task.steps):
        weights, velocity = step(weights, velocity)
    return weights


def per_example_gradients(task: Any) -> tuple[Any, ...]:
    each = jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))
    return each((task.w1, task.w2), task.x, task.y)


def hessian_vector(task: Any) -> tuple[Any, ...]:
    gradient = jax.grad(lambda weights: loss(weights, task.x, task.y))
    return jax.jvp(gradient, ((task.w1, task.w2),), ((task.v1, task.v2),))[1]


def frozen_part(task: Any) -> tuple[Any, ...]:
    @jax.jit
    def step(w2: Any) -> Any:
        return w2 - task.rate * jax.grad(lambda w2: loss((task.w1, w2), task.x, task.y))(w2)

    w2 = task.w2
    for _ in range(task.steps):
        w2 = step(w2)
    return task.w1, w2


def changed_gradients(task: Any) -> tuple[Any, ...]:
    @jax.custom_vjp
    def clipped(hidden: Any) -> Any:
        return hidden

    clipped.defvjp(
        lambda hidden: (hidden, None),
        lambda _, gradient: (jnp.clip(gradient, -task.limit, task.limit),),
    )

    def changed(weights: Any) -> Any:
        w1, w2 = weights
        return loss_of(clipped(jnp.tanh(task.x @ w1)) @ w2, task.y)

    return jax.grad(changed)((task.w1, task.w2))


def activations(task: Any) -> tuple[Any, ...]:
    def network(weights: Any, x: Any) -> Any:
        w1, w2 = weights
        hidden = jnp.tanh(x @ w1)
        return hidden, hidden @ w2

    return jax.jit(network)((task.w1, task.w2), task.x)


NOTES = {
    "changed-gradients": "a JAX network is a function: it is written anew, with the operation in between",
    "activations": "a JAX network is a function: it is written anew, and returns what is to be read",
}
