"""TensorFlow, by its own means; Keras has a file of its own."""

from __future__ import annotations

from typing import Any


def imported() -> None:
    """What a first program imports."""
    import tensorflow  # noqa: F401


def first_step(rows: Any, targets: Any, rate: float) -> Any:
    """The weights after one step of SGD."""
    import tensorflow as tf

    weights = tf.Variable(tf.zeros((3, 1)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((rows @ weights - targets) ** 2)
    optimizer = tf.keras.optimizers.SGD(rate)
    optimizer.apply_gradients([(tape.gradient(loss, weights), weights)])
    return weights.numpy()
