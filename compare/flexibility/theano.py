"""Flexibility, in Theano."""

from __future__ import annotations

from typing import Any

import numpy as np
import theano
import theano.tensor as T

theano.config.floatX = "float64"
SCAFFOLD = ("network", "loss_of")


def network(task: Any) -> Any:
    """The two weights, and the symbols of the hidden activations and of the scores."""
    w1, w2 = theano.shared(task.w1), theano.shared(task.w2)
    hidden = T.tanh(T.dot(task.x, w1))
    return w1, w2, hidden, T.dot(hidden, w2)


def loss_of(scores: Any, y: Any) -> Any:
    return (0.5 * T.sqr(scores - y).sum(axis=1)).mean()


def binarize(inside: Any) -> Any:
    def gradient(inputs: Any, gradients: Any) -> Any:
        return [gradients[0] * (abs(inputs[0]) <= 1)]

    symbol = T.matrix()
    return theano.OpFromGraph([symbol], [T.sgn(symbol)], grad_overrides=gradient)(inside)


def own_operation(task: Any) -> tuple[Any, ...]:
    w1, w2, _, _ = network(task)
    scores = T.dot(binarize(T.dot(task.x, w1)), w2)
    return tuple(theano.function([], [scores, T.grad(loss_of(scores, task.y), w1)])())


def own_optimizer(task: Any) -> tuple[Any, ...]:
    w1, w2, _, scores = network(task)
    updates = []
    for weight, gradient in zip((w1, w2), T.grad(loss_of(scores, task.y), [w1, w2])):
        velocity = theano.shared(np.zeros_like(weight.get_value()))
        moved = task.momentum * velocity + gradient / gradient.norm(2)
        updates += [(velocity, moved), (weight, weight - task.rate * moved)]
    step = theano.function([], updates=updates)
    for _ in range(task.steps):
        step()
    return w1.get_value(), w2.get_value()


def per_example_gradients(task: Any) -> tuple[Any, ...]:
    w1, w2, _, scores = network(task)
    losses = 0.5 * T.sqr(scores - task.y).sum(axis=1)
    return tuple(theano.function([], T.jacobian(losses, [w1, w2]))())


def hessian_vector(task: Any) -> tuple[Any, ...]:
    w1, w2, _, scores = network(task)
    one, two = T.grad(loss_of(scores, task.y), [w1, w2])
    product = (one * task.v1).sum() + (two * task.v2).sum()
    return tuple(theano.function([], T.grad(product, [w1, w2]))())


def frozen_part(task: Any) -> tuple[Any, ...]:
    w1, w2, _, scores = network(task)
    step = theano.function([], updates=[(w2, w2 - task.rate * T.grad(loss_of(scores, task.y), w2))])
    for _ in range(task.steps):
        step()
    return w1.get_value(), w2.get_value()


def changed_gradients(task: Any) -> tuple[Any, ...]:
    w1, w2, hidden, _ = network(task)
    scores = T.dot(theano.gradient.grad_clip(hidden, -task.limit, task.limit), w2)
    return tuple(theano.function([], T.grad(loss_of(scores, task.y), [w1, w2]))())


def activations(task: Any) -> tuple[Any, ...]:
    _, _, hidden, scores = network(task)
    return tuple(theano.function([], [hidden, scores])())
