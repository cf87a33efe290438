"""Mistakes, in TensorFlow below Keras: eager, and as a tf.function."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

# For weights on two devices.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
compiled = tf.function


def eager(function: Any) -> Any:
    return function


def variables(*values: Any) -> list[Any]:
    return [tf.Variable(one) for one in values]


def train(task: Any, loss_of: Any, weights: Any, how: Any, batches: Any = None) -> list[float]:
    @how
    def update(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(x, y)
        for w, gradient in zip(weights, tape.gradient(loss, weights)):
            w.assign_sub(task.rate * gradient)
        return loss

    return [float(update(tf.constant(x), tf.constant(y))) for x, y in batches or task.batches()]


def cross_entropy(scores: Any, y: Any) -> Any:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, scores))


def wrong_shape(task: Any, how: Any) -> Any:
    w1, w2, narrow = variables(task.w1, task.w2, task.narrow)

    def loss_of(x: Any, y: Any) -> Any:
        h = tf.tanh(x @ w1)
        print(h)
        h = h + x @ narrow  # <- the mistake
        return cross_entropy(h @ w2, y)

    return train(task, loss_of, [w1, w2, narrow], how)


def wrong_dtype(task: Any, how: Any) -> Any:
    w1, w2 = variables(task.w1, task.w2)

    def loss_of(x: Any, y: Any) -> Any:
        print(w1)
        h = tf.tanh(x @ w1)  # <- the mistake
        return cross_entropy(h @ w2, y)

    return train(task, loss_of, [w1, w2], how, task.integer_batches())


def nan(task: Any, how: Any) -> Any:
    weights = variables(*task.deep)

    def loss_of(h: Any, _: Any) -> Any:
        for number, w in enumerate(weights, 1):
            if number == 7:
                print(h)
                h = h / tf.sqrt(tf.reduce_mean(h**2, 1, keepdims=True))  # <- the mistake
            h = tf.tanh(h @ w)
        return tf.reduce_mean(h**2)

    return train(task, loss_of, weights, how, task.empty_batches())


def nan_checked(task: Any, how: Any) -> Any:
    tf.debugging.enable_check_numerics()
    try:
        return nan(task, how)
    finally:
        tf.debugging.disable_check_numerics()


def label_range(task: Any, how: Any) -> Any:
    w1, w2 = variables(task.w1, task.w2)

    def loss_of(x: Any, y: Any) -> Any:
        scores = tf.tanh(x @ w1) @ w2
        print(scores)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, scores)  # <- the mistake
        return tf.reduce_mean(losses)

    return train(task, loss_of, [w1, w2], how, task.bad_label_batches())


def gradients_kept(task: Any, how: Any) -> Any:
    return "a tape returns gradients as values, and each step has a tape of its own"


def two_devices(task: Any, how: Any) -> Any:
    w1, w2 = variables(task.w1, task.w2)
    with tf.device("/CPU:1"):
        (gain,) = variables(task.gain)

    def loss_of(x: Any, y: Any) -> Any:
        h = tf.tanh(x @ w1)
        print(h)
        h = h * gain  # <- the mistake
        return cross_entropy(h @ w2, y)

    return train(task, loss_of, [w1, w2], how)


def in_place(task: Any, how: Any) -> Any:
    w1, w2 = variables(task.w1, task.w2)

    def loss_of(x: Any, y: Any) -> Any:
        h = tf.tanh(x @ w1)
        print(h)
        h[0] = 0  # <- the mistake
        return cross_entropy(h @ w2, y)

    return train(task, loss_of, [w1, w2], how)


def broadcast(task: Any, how: Any) -> Any:
    w1, w2 = variables(task.w1, task.w_one)

    def loss_of(x: Any, y: Any) -> Any:
        values = tf.tanh(x @ w1) @ w2
        print(values)
        return tf.reduce_mean((values - y) ** 2)  # <- the mistake

    return train(task, loss_of, [w1, w2], how, task.regression_batches())


def broadcast_loss(task: Any, how: Any) -> Any:
    w1, w2 = variables(task.w1, task.w_one)
    squared = tf.keras.losses.MeanSquaredError()

    def loss_of(x: Any, y: Any) -> Any:
        values = tf.tanh(x @ w1) @ w2
        print(values)
        return squared(y, values)  # <- the mistake

    return train(task, loss_of, [w1, w2], how, task.regression_batches())


def own_print(task: Any, how: Any) -> Any:
    w1, w2 = variables(task.w1, task.w2)

    def loss_of(x: Any, y: Any) -> Any:
        h = tf.tanh(x @ w1)
        tf.print(h)
        return cross_entropy(h @ w2, y)

    return train(task, loss_of, [w1, w2], how)
