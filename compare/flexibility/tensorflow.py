"""Flexibility, in TensorFlow below Keras: variables, tapes and functions."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

SCAFFOLD = ("Network", "loss_of")


class Network(tf.Module):
    def __init__(self, task: Any) -> None:
        super().__init__()
        self.w1, self.w2 = tf.Variable(task.w1), tf.Variable(task.w2)

    def __call__(self, x: Any) -> Any:
        return tf.tanh(x @ self.w1) @ self.w2


def loss_of(scores: Any, y: Any) -> Any:
    return tf.reduce_mean(0.5 * tf.reduce_sum((scores - y) ** 2, -1))


@tf.custom_gradient
def binarize(inside: Any) -> Any:
    return tf.sign(inside), lambda gradient: gradient * tf.cast(tf.abs(inside) <= 1, inside.dtype)


def own_operation(task: Any) -> tuple[Any, ...]:
    model = Network(task)
    with tf.GradientTape() as tape:
        scores = binarize(task.x @ model.w1) @ model.w2
        loss = loss_of(scores, task.y)
    return scores, tape.gradient(loss, model.w1)


class Normalized(tf.Module):
    def __init__(self, rate: float, momentum: float, variables: Any) -> None:
        super().__init__()
        self.rate, self.momentum = rate, momentum
        self.velocity = [tf.Variable(tf.zeros_like(one)) for one in variables]

    def apply(self, gradients: Any, variables: Any) -> None:
        for velocity, gradient, one in zip(self.velocity, gradients, variables):
            velocity.assign(self.momentum * velocity + gradient / tf.norm(gradient))
            one.assign_sub(self.rate * velocity)


def own_optimizer(task: Any) -> tuple[Any, ...]:
    model = Network(task)
    optimizer = Normalized(task.rate, task.momentum, model.trainable_variables)

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = loss_of(model(task.x), task.y)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    for _ in range(task.steps):
        step()
    return model.w1, model.w2


def per_example_gradients(task: Any) -> tuple[Any, ...]:
    model = Network(task)
    with tf.GradientTape() as tape:
        losses = 0.5 * tf.reduce_sum((model(task.x) - task.y) ** 2, -1)
    return tape.jacobian(losses, [model.w1, model.w2])


def hessian_vector(task: Any) -> tuple[Any, ...]:
    model = Network(task)
    weights = [model.w1, model.w2]
    with tf.autodiff.ForwardAccumulator(weights, [tf.constant(task.v1), tf.constant(task.v2)]) as forward:
        with tf.GradientTape() as tape:
            loss = loss_of(model(task.x), task.y)
        gradients = tape.gradient(loss, weights)
    return forward.jvp(gradients)


def frozen_part(task: Any) -> tuple[Any, ...]:
    model = Network(task)

    @tf.function
    def step() -> None:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(model.w2)
            loss = loss_of(model(task.x), task.y)
        model.w2.assign_sub(task.rate * tape.gradient(loss, model.w2))

    for _ in range(task.steps):
        step()
    return model.w1, model.w2


def changed_gradients(task: Any) -> tuple[Any, ...]:
    @tf.custom_gradient
    def clipped(hidden: Any) -> Any:
        return tf.identity(hidden), lambda gradient: tf.clip_by_value(gradient, -task.limit, task.limit)

    model = Network(task)
    with tf.GradientTape() as tape:
        scores = clipped(tf.tanh(task.x @ model.w1)) @ model.w2
        loss = loss_of(scores, task.y)
    return tape.gradient(loss, [model.w1, model.w2])


def activations(task: Any) -> tuple[Any, ...]:
    class Watched(Network):
        def __call__(self, x: Any) -> Any:
            hidden = tf.tanh(x @ self.w1)
            return hidden, hidden @ self.w2

    return Watched(task)(task.x)


NOTES = {
    "changed-gradients": "a tf.Module has no hooks: what it computes is written anew, with the operation in between",
    "activations": "a tf.Module has no hooks: what it computes is written anew; Keras, TensorFlow's interface for "
    "models, makes a model of two outputs (see Keras)",
}
