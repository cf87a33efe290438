"""The timed networks in TensorFlow, as its guide for experts writes them: a model, a tape, and a tf.function."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

from speed._networks import (
    EPSILON,
    HEADS,
    HIDDEN,
    INNER,
    KEPT,
    LAYERS,
    LEARNING_RATE,
    MOMENTUM,
    STAGES,
    WIDTH,
    Arrays,
    Problem,
    Program,
    channels_last,
)

SCAFFOLD = ("hand_over",)


class Mlp(keras.Model):
    """Three dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.dense1 = layers.Dense(512, activation="relu", name="dense1")
        self.dense2 = layers.Dense(256, activation="relu", name="dense2")
        self.dense3 = layers.Dense(10, name="dense3")

    def call(self, x: Any) -> Any:
        return self.dense3(self.dense2(self.dense1(x)))


def mlp(problem: Problem) -> Program:
    return trained(Mlp(), problem)


class Cnn(keras.Model):
    """Two convolutions and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1")
        self.pool = layers.MaxPooling2D(2)
        self.conv2 = layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2")
        self.flatten = layers.Flatten()
        self.dense = layers.Dense(10, name="dense")

    def call(self, x: Any) -> Any:
        return self.dense(self.flatten(self.conv2(self.pool(self.conv1(x)))))


def cnn(problem: Problem) -> Program:
    return trained(Cnn(), problem)


class Normed(layers.Layer):
    """A convolution and its batch normalization; the border is the same on each side, whatever the stride."""

    def __init__(self, name: str, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(name=name)
        self.pad = layers.ZeroPadding2D(kernel // 2)
        self.conv = layers.Conv2D(outputs, kernel, stride, use_bias=False, name=f"{name}.conv")
        self.norm = layers.BatchNormalization(momentum=KEPT, epsilon=EPSILON, name=f"{name}.norm")

    def call(self, x: Any) -> Any:
        return self.norm(self.conv(self.pad(x)), training=True)


class Block(layers.Layer):
    """Two convolutions, beside which the input goes by."""

    def __init__(self, name: str, inputs: int, outputs: int) -> None:
        super().__init__(name=name)
        stride = 1 if inputs == outputs else 2
        self.first = Normed(f"{name}.first", outputs, 3, stride)
        self.second = Normed(f"{name}.second", outputs, 3)
        self.short = Normed(f"{name}.short", outputs, 1, stride) if stride == 2 else None

    def call(self, x: Any) -> Any:
        short = x if self.short is None else self.short(x)
        return tf.nn.relu(short + self.second(tf.nn.relu(self.first(x))))


class ResNet(keras.Model):
    """A convolution, three blocks, the mean over the image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Normed("stem", STAGES[0], 3)
        pairs = zip((STAGES[0], *STAGES[:-1]), STAGES)
        self.blocks = [Block(f"block{number}", *pair) for number, pair in enumerate(pairs, 1)]
        self.dense = layers.Dense(10, name="dense")

    def call(self, x: Any) -> Any:
        x = tf.nn.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.dense(tf.reduce_mean(x, [1, 2]))


def resnet(problem: Problem) -> Program:
    return trained(ResNet(), problem)


class Reader(keras.Model):
    """The scores of a sequence, from a GRU's last state."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.dense = layers.GRU(HIDDEN, name="gru"), layers.Dense(10, name="dense")

    def call(self, x: Any) -> Any:
        return self.dense(self.gru(x))


def gru(problem: Problem) -> Program:
    return trained(Reader(), problem)


class EncoderLayer(layers.Layer):
    """Self-attention and two dense layers, each with its input beside it, and normalized."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"{name}.attention")
        self.inner = layers.Dense(INNER, activation="relu", name=f"{name}.inner")
        self.outer = layers.Dense(WIDTH, name=f"{name}.outer")
        self.norm1 = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}.norm1")
        self.norm2 = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}.norm2")

    def call(self, x: Any) -> Any:
        x = self.norm1(x + self.attention(x, x))
        return self.norm2(x + self.outer(self.inner(x)))


class Encoder(keras.Model):
    """Embeddings of tokens and positions, the encoder's layers, and the mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.token = layers.Embedding(64, WIDTH, name="token")
        self.position = layers.Embedding(32, WIDTH, name="position")
        self.encoders = [EncoderLayer(f"layer{number}") for number in range(LAYERS)]
        self.dense = layers.Dense(10, name="dense")

    def call(self, tokens: Any) -> Any:
        x = self.token(tokens) + self.position(tf.range(32))
        for encoder in self.encoders:
            x = encoder(x)
        return self.dense(tf.reduce_mean(x, 1))


def transformer(problem: Problem) -> Program:
    return trained(Encoder(), problem)


def trained(model: Any, problem: Problem) -> Program:
    batches = hand_over(model, problem)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM)
    velocity = [tf.Variable(tf.zeros_like(one)) for one in model.trainable_variables]

    def fused(gradients: Any) -> None:
        """TensorFlow's own operation for SGD with momentum, one for each variable."""
        for weight, moving, gradient in zip(model.trainable_variables, velocity, gradients):
            tf.raw_ops.ResourceApplyMomentum(
                var=weight.value.handle, accum=moving.handle, lr=LEARNING_RATE, grad=tf.convert_to_tensor(gradient),
                momentum=MOMENTUM,
            )  # fmt: skip

    @tf.function(jit_compile=problem.how == "compiled" or None)
    def train(inputs: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(inputs, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        if problem.how == "tuned":
            fused(gradients)
        else:
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    def step(index: int) -> Any:
        return train(*batches[index]).numpy()

    def scores(inputs: np.ndarray) -> np.ndarray:
        return model(inputs.transpose(0, 2, 3, 1)).numpy()

    said = {"tuned": ["tf.raw_ops.ResourceApplyMomentum"], "compiled": ["jit_compile=True"]}
    return Program(step, scores, ["tf.function", *said.get(problem.how, [])])


def hand_over(model: Any, problem: Problem) -> Any:
    """Gives the model its weights, and the batches in tensors, images NHWC."""
    batches = [
        (
            tf.constant(one.inputs.transpose(0, 2, 3, 1) if one.inputs.ndim == 4 else one.inputs),
            tf.constant(one.labels),
        )
        for one in problem.batches
    ]
    model(batches[0][0])  # makes the variables
    given = of_keras(channels_last(problem.network, problem.weights))
    for variable in model.trainable_variables:
        place, _, kind = variable.path.rpartition("/")
        _, _, owner = (
            place.rpartition("/") if ".attention" not in place else ("", "", "/".join(place.split("/")[-2:]))
        )
        variable.assign(given[f"{owner}/{kind}"])
    return batches


def of_keras(given: Arrays) -> Arrays:
    """The weights by Keras's names: a GRU's gates are update, reset, new, and the heads are an axis."""
    named: Arrays = {}
    for name, value in given.items():
        place, _, part = name.rpartition(".")
        layer, _, inner = place.rpartition(".")
        if place == "gru":
            r, z, n = np.split(value, 3, -1)
            named[f"gru.{part}"] = np.concatenate([z, r, n], -1)
        elif inner in ("query", "key", "value"):
            shape = (WIDTH, HEADS, -1) if part == "w" else (HEADS, -1)
            named[f"{layer}.attention/{inner}/{'kernel' if part == 'w' else 'bias'}"] = value.reshape(shape)
        elif inner == "out":
            turned = value.reshape(HEADS, -1, WIDTH) if part == "w" else value
            named[f"{layer}.attention/attention_output/{'kernel' if part == 'w' else 'bias'}"] = turned
        elif f"{place}.g" in given and f"{place}.w" in given:  # a convolution and its normalization
            named[
                f"{place}.{'conv' if part == 'w' else 'norm'}/{ {'w': 'kernel', 'g': 'gamma', 'b': 'beta'}[part] }"
            ] = value
        elif f"{place}.g" in given:
            named[f"{place}/{ {'g': 'gamma', 'b': 'beta'}[part] }"] = value
        elif place in ("token", "position"):
            named[f"{place}/embeddings"] = value
        else:
            named[f"{place}/{'kernel' if part == 'w' else 'bias'}"] = value
    if "gru.wx" in named:
        parts = [named.pop(f"gru.{part}") for part in ("wx", "wh", "bx", "bh")]
        named.update({"gru_cell/kernel": parts[0], "gru_cell/recurrent_kernel": parts[1]})
        named["gru_cell/bias"] = np.stack(parts[2:])
    return named
