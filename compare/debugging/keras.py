"""Mistakes, in Keras on TensorFlow. By default Keras compiles; run_eagerly=True is its other way."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

# For weights on two devices.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
eager = {"run_eagerly": True}
compiled: dict[str, Any] = {}
CHECK = "with the check of TensorFlow, its backend; Keras's own, TerminateOnNaN, ends the training and names no layer"
PRINT = "with tf.print of TensorFlow, its backend: Keras has nothing that prints in a compiled step"
NOTES = {"nan-checked": CHECK, "nan-checked-compiled": CHECK, "own-print": PRINT, "own-print-compiled": PRINT}


def dense(weights: Any, activation: Any = None) -> Any:
    start = keras.initializers.Constant(weights)
    return layers.Dense(weights.shape[1], activation, use_bias=False, kernel_initializer=start)


def classifier(model: Any, task: Any, how: Any) -> Any:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(task.rate), loss, **how)
    return model


class Skip(keras.Model):
    def __init__(self, task: Any) -> None:
        super().__init__()
        self.first, self.second, self.narrow = dense(task.w1, "tanh"), dense(task.w2), dense(task.narrow)

    def call(self, x: Any) -> Any:
        h = self.first(x)
        print(h)
        h = h + self.narrow(x)  # <- the mistake
        return self.second(h)


def wrong_shape(task: Any, how: Any) -> Any:
    model = classifier(Skip(task), task, how)
    return [float(model.train_on_batch(x, y)) for x, y in task.batches()]


class TwoLayers(keras.Model):
    def __init__(self, task: Any) -> None:
        super().__init__()
        self.first, self.second = dense(task.w1, "tanh"), dense(task.w2)

    def call(self, x: Any) -> Any:
        print(x)
        h = self.first(x)  # <- the mistake
        return self.second(h)


def wrong_dtype(task: Any, how: Any) -> Any:
    model = classifier(TwoLayers(task), task, how)
    return [float(model.train_on_batch(x, y)) for x, y in task.integer_batches()]


class Deep(keras.Model):
    def __init__(self, task: Any) -> None:
        super().__init__()
        self.all = [dense(one, "tanh") for one in task.deep]

    def call(self, h: Any) -> Any:
        for number, layer in enumerate(self.all, 1):
            if number == 7:
                print(h)
                h = h / ops.sqrt(ops.mean(h**2, 1, keepdims=True))  # <- the mistake
            h = layer(h)
        return h


def nan(task: Any, how: Any) -> Any:
    model = Deep(task)
    model.compile(keras.optimizers.SGD(task.rate), lambda _, h: ops.mean(h**2, -1), **how)
    return [float(model.train_on_batch(x, y)) for x, y in task.empty_batches()]


def nan_checked(task: Any, how: Any) -> Any:
    tf.debugging.enable_check_numerics()
    try:
        return nan(task, how)
    finally:
        tf.debugging.disable_check_numerics()


class Classifier(keras.Model):
    def __init__(self, task: Any) -> None:
        super().__init__()
        self.first, self.second = dense(task.w1, "tanh"), dense(task.w2)

    def call(self, x: Any) -> Any:
        scores = self.second(self.first(x))
        print(scores)
        return scores


def label_range(task: Any, how: Any) -> Any:
    model = classifier(Classifier(task), task, how)
    losses = []
    for x, y in task.bad_label_batches():
        losses.append(float(model.train_on_batch(x, y)))  # <- the mistake
    return losses


def gradients_kept(task: Any, how: Any) -> Any:
    return "train_on_batch and fit compute the gradients of a batch, apply them, and keep none"


class Apart(keras.Model):
    def __init__(self, task: Any) -> None:
        super().__init__()
        self.first, self.second = dense(task.w1, "tanh"), dense(task.w2)
        with keras.device("cpu:1"):
            self.gain = self.add_weight(shape=(5,), initializer="ones", trainable=False)

    def call(self, x: Any) -> Any:
        h = self.first(x)
        print(h)
        h = h * self.gain  # <- the mistake
        return self.second(h)


def two_devices(task: Any, how: Any) -> Any:
    model = classifier(Apart(task), task, how)
    return [float(model.train_on_batch(x, y)) for x, y in task.batches()]


class Masked(keras.Model):
    def __init__(self, task: Any) -> None:
        super().__init__()
        self.first, self.second = dense(task.w1, "tanh"), dense(task.w2)

    def call(self, x: Any) -> Any:
        h = self.first(x)
        print(h)
        h[0] = 0  # <- the mistake
        return self.second(h)


def in_place(task: Any, how: Any) -> Any:
    model = classifier(Masked(task), task, how)
    return [float(model.train_on_batch(x, y)) for x, y in task.batches()]


class Regression(keras.Model):
    def __init__(self, task: Any) -> None:
        super().__init__()
        self.first, self.last = dense(task.w1, "tanh"), dense(task.w_one)

    def call(self, x: Any) -> Any:
        values = self.last(self.first(x))
        print(values)
        return values


def broadcast(task: Any, how: Any) -> Any:
    def squared(y: Any, values: Any) -> Any:
        return ops.mean((values - y) ** 2)  # <- the mistake

    model = Regression(task)
    model.compile(keras.optimizers.SGD(task.rate), squared, **how)
    return [float(model.train_on_batch(x, y)) for x, y in task.regression_batches()]


def broadcast_loss(task: Any, how: Any) -> Any:
    model = Regression(task)
    model.compile(keras.optimizers.SGD(task.rate), "mean_squared_error", **how)
    losses = []
    for x, y in task.regression_batches():
        losses.append(float(model.train_on_batch(x, y)))  # <- the mistake
    return losses


class Printing(keras.Model):
    def __init__(self, task: Any) -> None:
        super().__init__()
        self.first, self.second = dense(task.w1, "tanh"), dense(task.w2)

    def call(self, x: Any) -> Any:
        h = self.first(x)
        tf.print(h)
        return self.second(h)


def own_print(task: Any, how: Any) -> Any:
    model = classifier(Printing(task), task, how)
    return [float(model.train_on_batch(x, y)) for x, y in task.batches()]
