"""Graphs that follow the data, in Keras. Gradients are read from a step of gradient descent: Keras hands out none."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

keras.config.set_floatx("float64")
SCAFFOLD = ("Counting", "CountingModel", "gradients_of", "half_square")

# What compile() is told: as they are by default, Keras's models are compiled.
eager = {"run_eagerly": True}
compiled: dict[str, Any] = {}


class Counting:
    """Counts how often a model's step is traced."""

    traced = 0

    def train_step(self, data: Any) -> Any:
        self.traced += not self.run_eagerly
        return super().train_step(data)


class CountingModel(Counting, keras.Model):
    pass


def half_square(_: Any, values: Any) -> Any:
    return 0.5 * ops.sum(values**2, -1)


def gradients_of(model: Counting, x: Any, y: Any = None) -> list[Any]:
    """Those of its weights; the weights are left as they were."""
    before = model.get_weights()
    model.train_on_batch(x, y)
    after = model.get_weights()
    model.set_weights(before)
    return [one - two for one, two in zip(before, after)]


def lengths(task: Any, how: Any) -> Any:
    def turned(weights: Any) -> Any:
        """The order of Keras: update, reset, new."""
        reset, update, new = np.split(weights, 3)
        return np.concatenate([update, reset, new]).T

    inputs = keras.Input((None, 3))
    model = CountingModel(inputs, layers.GRU(4)(layers.Masking(mask_value=-9.0)(inputs)))
    model.set_weights([turned(task.w_ih), turned(task.w_hh), np.stack([turned(task.b_ih), turned(task.b_hh)])])
    padded = keras.utils.pad_sequences(task.sequences, dtype="float64", padding="post", value=-9.0)
    model.compile(keras.optimizers.SGD(1.0), half_square, **how)
    update, reset, new = np.split(gradients_of(model, padded, np.zeros(4))[0].T, 3)
    gradient = len(padded) * np.concatenate([reset, update, new])
    return (model.predict_on_batch(padded), gradient), model.traced


def tree(task: Any, how: Any) -> Any:
    dense = layers.Dense(4, activation="tanh")

    def model_of(tree: Any) -> Any:
        leaves, values = [], []

        def value(node: Any) -> Any:
            if isinstance(node, tuple):
                return dense(layers.concatenate([value(one) for one in node]))
            leaves.append(keras.Input((4,)))
            values.append(node[None])
            return leaves[-1]

        return CountingModel(leaves, value(tree)), values

    roots, gradient, traced = [], 0.0, 0
    for one in task.trees:
        model, values = model_of(one)
        model.set_weights([task.w_tree.T, task.b_tree])
        model.compile(keras.optimizers.SGD(1.0), half_square, **how)
        gradient += gradients_of(model, values, np.zeros(1))[0].T
        roots.append(model.predict_on_batch(values)[0])
        traced += model.traced
    return (np.stack(roots), gradient), traced


class Settle(layers.Layer):
    def __init__(self, task: Any) -> None:
        super().__init__()
        self.task = task
        self.w = self.add_weight(shape=(4, 4), initializer=keras.initializers.Constant(task.w_loop))

    def call(self, x: Any) -> Any:
        rounds = 0
        while True:
            before, x = x, ops.tanh(x @ ops.transpose(self.w) + self.task.u)
            rounds += 1
            if ops.max(ops.abs(x - before)) < self.task.epsilon:
                break
        self.add_loss(0.5 * ops.sum(x**2))
        return x, rounds


class SettleByOps(Settle):
    def call(self, x: Any) -> Any:
        def further(before: Any, x: Any, rounds: Any) -> Any:
            return ops.max(ops.abs(x - before)) >= self.task.epsilon

        def round_of(_: Any, x: Any, rounds: Any) -> Any:
            return x, ops.tanh(x @ ops.transpose(self.w) + self.task.u), rounds + 1

        start = x + 2 * self.task.epsilon, x, ops.convert_to_tensor(0)
        _, x, rounds = ops.while_loop(further, round_of, start, maximum_iterations=64)
        self.add_loss(0.5 * ops.sum(x**2))
        return x, rounds


def until(task: Any, how: Any, layer: Any = Settle) -> Any:
    model = Wrapped(layer(task))
    model.compile(keras.optimizers.SGD(1.0), **how)
    gradient = sum(gradients_of(model, start[None])[0] for start in task.starts)
    ends, counts = zip(*(model(start[None]) for start in task.starts))
    return (ops.concatenate(ends), counts, gradient), model.traced


def until_rewritten(task: Any, how: Any) -> Any:
    return until(task, how, SettleByOps)


class Wrapped(Counting, keras.Model):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def call(self, x: Any) -> Any:
        return self.layer(x)


class Exits(layers.Layer):
    def __init__(self, task: Any) -> None:
        super().__init__()
        self.task = task
        self.w = [self.add_weight(shape=(4, 4), initializer=keras.initializers.Constant(one)) for one in task.layers]

    def call(self, h: Any) -> Any:
        for number, (w, head) in enumerate(zip(self.w, self.task.heads)):
            h = ops.tanh(h @ ops.transpose(w))
            score = ops.sum(h * head)
            if ops.abs(score) > self.task.sure:
                break
        self.add_loss(0.5 * score**2)
        return score, number


class ExitsByOps(Exits):
    def call(self, h: Any) -> Any:
        score, number = self.answer(h, 0)
        self.add_loss(0.5 * score**2)
        return score, number

    def answer(self, h: Any, number: int) -> Any:
        h = ops.tanh(h @ ops.transpose(self.w[number]))
        score = ops.sum(h * self.task.heads[number])
        if number == len(self.w) - 1:
            return score, ops.convert_to_tensor(number)
        return ops.cond(
            ops.abs(score) > self.task.sure,
            lambda: (score, ops.convert_to_tensor(number)),
            lambda: self.answer(h, number + 1),
        )


def early_exit(task: Any, how: Any, layer: Any = Exits) -> Any:
    model = Wrapped(layer(task))
    model.compile(keras.optimizers.SGD(1.0), **how)
    gradient = sum(gradients_of(model, one[None])[0] for one in task.examples)
    scores, exits = zip(*(model(one[None]) for one in task.examples))
    return (ops.stack(scores), exits, gradient), model.traced


def early_exit_rewritten(task: Any, how: Any) -> Any:
    return early_exit(task, how, ExitsByOps)


def new_shape(task: Any, how: Any) -> Any:
    inputs = keras.Input((5,))
    hidden = layers.Dense(4, activation="tanh", use_bias=False)(inputs)
    model = CountingModel(inputs, layers.Dense(3, use_bias=False)(hidden))
    model.set_weights([task.w1, task.w2])
    model.compile(keras.optimizers.SGD(task.rate), lambda y, scores: half_square(y, scores - y), **how)
    return model.train_on_batch, lambda: model.traced
