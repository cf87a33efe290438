"""Graphs that follow the data, in JAX."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

jax.config.update("jax_enable_x64", True)
SCAFFOLD = ("traced",)
compiled = jax.jit


def eager(function: Any) -> Any:
    return function


def traced(function: Any) -> int:
    """How many programs jax.jit has compiled of a function; a function as it is has none."""
    return function._cache_size() if hasattr(function, "_cache_size") else 0


def lengths(task: Any, how: Any) -> Any:
    def half_square(w_ih: Any, sequence: Any) -> Any:
        state = jnp.zeros(4)
        for x in sequence:
            ir, iz, inew = jnp.split(w_ih @ x + task.b_ih, 3)
            hr, hz, hnew = jnp.split(task.w_hh @ state + task.b_hh, 3)
            r, z = jax.nn.sigmoid(ir + hr), jax.nn.sigmoid(iz + hz)
            state = (1 - z) * jnp.tanh(inew + r * hnew) + z * state
        return 0.5 * (state**2).sum(), state

    gradient_of = how(jax.grad(half_square, has_aux=True))
    gradients, states = zip(*(gradient_of(task.w_ih, sequence) for sequence in task.sequences))
    return (jnp.stack(states), sum(gradients)), traced(gradient_of)


def tree(task: Any, how: Any) -> Any:
    def value(w: Any, node: Any) -> Any:
        if isinstance(node, tuple):
            return jnp.tanh(w @ jnp.concatenate([value(w, one) for one in node]) + task.b_tree)
        return node

    def half_square(w: Any, tree: Any) -> Any:
        root = value(w, tree)
        return 0.5 * (root**2).sum(), root

    gradient_of = how(jax.grad(half_square, has_aux=True))
    gradients, roots = zip(*(gradient_of(task.w_tree, tree) for tree in task.trees))
    return (jnp.stack(roots), sum(gradients)), traced(gradient_of)


def until(task: Any, how: Any) -> Any:
    def half_square(w: Any, x: Any) -> Any:
        rounds = 0
        while True:
            before, x = x, jnp.tanh(w @ x + task.u)
            rounds += 1
            if abs(x - before).max() < task.epsilon:
                return 0.5 * (x**2).sum(), (x, rounds)

    gradient_of = how(jax.grad(half_square, has_aux=True))
    gradients, found = zip(*(gradient_of(task.w_loop, start) for start in task.starts))
    ends, counts = zip(*found)
    return (jnp.stack(ends), counts, sum(gradients)), traced(gradient_of)


def until_rewritten(task: Any, how: Any) -> Any:
    """lax.while_loop has no gradient in reverse: lax.scan has, over as many rounds as there may be at most."""
    most = 64

    def half_square(w: Any, x: Any) -> Any:
        def round_of(carry: Any, _: Any) -> Any:
            x, rounds, settled = carry
            after = jnp.where(settled, x, jnp.tanh(w @ x + task.u))
            rounds += ~settled
            return (after, rounds, settled | (abs(after - x).max() < task.epsilon)), None

        (x, rounds, _), _ = lax.scan(round_of, (x, jnp.array(0), jnp.array(False)), length=most)
        return 0.5 * (x**2).sum(), (x, rounds)

    gradient_of = how(jax.grad(half_square, has_aux=True))
    gradients, found = zip(*(gradient_of(task.w_loop, start) for start in task.starts))
    ends, counts = zip(*found)
    assert max(counts) < most, "it did not settle"
    return (jnp.stack(ends), jnp.stack(counts), sum(gradients)), traced(gradient_of)


def early_exit(task: Any, how: Any) -> Any:
    def half_square(layers: Any, h: Any) -> Any:
        for number, (layer, head) in enumerate(zip(layers, task.heads)):
            h = jnp.tanh(layer @ h)
            score = head @ h
            if abs(score) > task.sure:
                break
        return 0.5 * score**2, (score, number)

    gradient_of = how(jax.grad(half_square, has_aux=True))
    gradients, found = zip(*(gradient_of(task.layers, example) for example in task.examples))
    scores, exits = zip(*found)
    return (jnp.stack(scores), exits, sum(gradients)[0]), traced(gradient_of)


def early_exit_rewritten(task: Any, how: Any) -> Any:
    """Each exit is a lax.cond, in which the rest of the network is a branch."""

    def answer(layers: Any, h: Any, number: int) -> Any:
        h = jnp.tanh(layers[number] @ h)
        score = task.heads[number] @ h
        if number == len(layers) - 1:
            return score, number
        return lax.cond(
            abs(score) > task.sure,
            lambda: (score, number),
            lambda: answer(layers, h, number + 1),
        )

    def half_square(layers: Any, h: Any) -> Any:
        score, number = answer(layers, h, 0)
        return 0.5 * score**2, (score, number)

    gradient_of = how(jax.grad(half_square, has_aux=True))
    gradients, found = zip(*(gradient_of(task.layers, example) for example in task.examples))
    scores, exits = zip(*found)
    return (jnp.stack(scores), jnp.stack(exits), sum(gradients)[0]), traced(gradient_of)


def new_shape(task: Any, how: Any) -> Any:
    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        w1, w2 = weights
        return 0.5 * ((jnp.tanh(x @ w1) @ w2 - y) ** 2).sum(1).mean()

    @how
    def update(weights: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights, x, y)
        return loss, jax.tree.map(lambda one, by: one - task.rate * by, weights, gradients)

    weights = jnp.array(task.w1), jnp.array(task.w2)

    def step(x: Any, y: Any) -> Any:
        nonlocal weights
        loss, weights = update(weights, x, y)
        return loss

    return step, lambda: traced(update)
