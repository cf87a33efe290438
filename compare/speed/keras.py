"""The timed networks in Keras, as its documentation writes them: layers, compile, and its own training step."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

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
JIT = {"written": "auto", "compiled": True, "tuned": False}


def mlp(problem: Problem) -> Program:
    return trained(
        keras.Sequential([
            keras.Input((784,)),
            layers.Dense(512, activation="relu", name="dense1"),
            layers.Dense(256, activation="relu", name="dense2"),
            layers.Dense(10, name="dense3"),
        ]),
        problem,
    )  # fmt: skip


def cnn(problem: Problem) -> Program:
    return trained(
        keras.Sequential([
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
            layers.Flatten(),
            layers.Dense(10, name="dense"),
        ]),
        problem,
    )  # fmt: skip


def normed(x: Any, name: str, outputs: int, kernel: int = 3, stride: int = 1) -> Any:
    """A convolution and its batch normalization; the border is the same on each side, whatever the stride."""
    x = layers.ZeroPadding2D(1)(x) if kernel == 3 else x
    x = layers.Conv2D(outputs, kernel, stride, use_bias=False, name=f"{name}.conv")(x)
    return layers.BatchNormalization(momentum=KEPT, epsilon=EPSILON, name=f"{name}.norm")(x)


def resnet(problem: Problem) -> Program:
    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(normed(inputs, "stem", STAGES[0]))
    for number, outputs in enumerate(STAGES, 1):
        name, stride = f"block{number}", 1 if number == 1 else 2
        short = normed(x, f"{name}.short", outputs, 1, stride) if stride == 2 else x
        x = layers.ReLU()(normed(x, f"{name}.first", outputs, stride=stride))
        x = layers.ReLU()(layers.Add()([short, normed(x, f"{name}.second", outputs)]))
    x = layers.GlobalAveragePooling2D()(x)
    return trained(keras.Model(inputs, layers.Dense(10, name="dense")(x)), problem)


def gru(problem: Problem) -> Program:
    read = layers.GRU(HIDDEN, name="gru")
    return trained(keras.Sequential([keras.Input((32, 16)), read, layers.Dense(10, name="dense")]), problem)


class Embedded(layers.Layer):
    """The embeddings of tokens and of their positions."""

    def __init__(self) -> None:
        super().__init__(name="embedded")
        self.token, self.position = layers.Embedding(64, WIDTH), layers.Embedding(32, WIDTH)

    def call(self, tokens: Any) -> Any:
        return self.token(tokens) + self.position(ops.arange(32))


def transformer(problem: Problem) -> Program:
    inputs = keras.Input((32,), dtype="int32")
    x = Embedded()(inputs)
    for name in (f"layer{number}" for number in range(LAYERS)):
        attended = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"{name}.attention")(x, x)
        x = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}.norm1")(layers.Add()([x, attended]))
        inner = layers.Dense(INNER, activation="relu", name=f"{name}.inner")(x)
        outer = layers.Dense(WIDTH, name=f"{name}.outer")(inner)
        x = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}.norm2")(layers.Add()([x, outer]))
    x = layers.GlobalAveragePooling1D()(x)
    return trained(keras.Model(inputs, layers.Dense(10, name="dense")(x)), problem)


def trained(model: Any, problem: Problem) -> Program:
    batches = hand_over(model, problem)
    optimizer = keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=JIT.get(problem.how, "auto"))

    def step(index: int) -> Any:
        return model.train_on_batch(*batches[index])  # it gives the loss as a number, so it has waited

    def scores(inputs: np.ndarray) -> np.ndarray:
        return model.predict_on_batch(inputs.transpose(0, 2, 3, 1))

    said = f"jit_compile={model.jit_compile}" + ("" if problem.how in ("tuned", "compiled") else ' (by "auto")')
    return Program(step, scores, [f"{keras.backend.backend()} backend", said])


def hand_over(model: Any, problem: Problem) -> Any:
    """Gives the model its weights, and the batches in tensors, images NHWC."""
    given = channels_last(problem.network, problem.weights)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(of_layer(layer, given))
    return [
        (
            ops.convert_to_tensor(one.inputs.transpose(0, 2, 3, 1) if one.inputs.ndim == 4 else one.inputs),
            ops.convert_to_tensor(one.labels),
        )
        for one in problem.batches
    ]


def of_layer(layer: Any, given: Arrays) -> list[np.ndarray]:
    """A layer's weights in Keras's order: a GRU's gates are update, reset, new, and the heads are an axis."""
    name = layer.name
    if name == "gru":
        ordered = [given[f"gru.{part}"] for part in ("wx", "wh", "bx", "bh")]
        r_z_n = [np.split(one, 3, -1) for one in ordered]
        wx, wh, bx, bh = (np.concatenate([z, r, n], -1) for r, z, n in r_z_n)
        return [wx, wh, np.stack([bx, bh])]
    if name == "embedded":
        return [given["token.w"], given["position.w"]]
    if name.endswith(".attention"):
        place, found = name.partition(".")[0], []
        for part in ("query", "key", "value"):
            found += [
                given[f"{place}.{part}.w"].reshape(WIDTH, HEADS, -1),
                given[f"{place}.{part}.b"].reshape(HEADS, -1),
            ]
        return [*found, given[f"{place}.out.w"].reshape(HEADS, -1, WIDTH), given[f"{place}.out.b"]]
    if name.endswith(".conv"):
        return [given[f"{name[:-5]}.w"]]
    if name.endswith(".norm"):
        running = layer.get_weights()[2:]
        return [given[f"{name[:-5]}.g"], given[f"{name[:-5]}.b"], *running]
    return [given[f"{name}.{part}"] for part in ("g" if ".norm" in name else "w", "b")]
