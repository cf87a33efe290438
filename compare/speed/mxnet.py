"""The timed networks in MXNet, as Gluon's documentation writes them: blocks, record, backward, Trainer.step."""

from __future__ import annotations

from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from speed._networks import HEADS, HIDDEN, INNER, LAYERS, LEARNING_RATE, MOMENTUM, STAGES, WIDTH, Problem, Program

SCAFFOLD = ("hand_over",)


def mlp(problem: Problem) -> Program:
    model = nn.HybridSequential(prefix="")
    model.add(
        nn.Dense(512, activation="relu", prefix="dense1_"),
        nn.Dense(256, activation="relu", prefix="dense2_"),
        nn.Dense(10, prefix="dense3_"),
    )
    return trained(model, problem)


def cnn(problem: Problem) -> Program:
    model = nn.HybridSequential(prefix="")
    model.add(
        nn.Conv2D(16, 3, padding=1, activation="relu", prefix="conv1_"),
        nn.MaxPool2D(2),
        nn.Conv2D(32, 3, padding=1, activation="relu", prefix="conv2_"),
        nn.Flatten(),
        nn.Dense(10, prefix="dense_"),
    )
    return trained(model, problem)


def normed(name: str, outputs: int, kernel: int, stride: int = 1) -> Any:
    """A convolution and its batch normalization."""
    block = nn.HybridSequential(prefix=f"{name}_")
    block.add(
        nn.Conv2D(outputs, kernel, stride, kernel // 2, use_bias=False, prefix=f"{name}_"),
        nn.BatchNorm(prefix=f"{name}_"),
    )
    return block


class Block(gluon.HybridBlock):
    """Two convolutions, beside which the input goes by."""

    def __init__(self, name: str, inputs: int, outputs: int) -> None:
        super().__init__(prefix=f"{name}_")
        stride = 1 if inputs == outputs else 2
        self.first, self.second = normed(f"{name}_first", outputs, 3, stride), normed(f"{name}_second", outputs, 3)
        self.short = normed(f"{name}_short", outputs, 1, stride) if stride == 2 else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        short = x if self.short is None else self.short(x)
        return F.relu(short + self.second(F.relu(self.first(x))))


def resnet(problem: Problem) -> Program:
    model = nn.HybridSequential(prefix="")
    model.add(normed("stem", STAGES[0], 3), nn.Activation("relu"))
    for number, inputs in enumerate((STAGES[0], *STAGES[:-1])):
        model.add(Block(f"block{number + 1}", inputs, STAGES[number]))
    model.add(nn.GlobalAvgPool2D(), nn.Dense(10, prefix="dense_"))
    return trained(model, problem)


class Reader(gluon.HybridBlock):
    """The scores of a sequence, from a GRU's last state."""

    def __init__(self) -> None:
        super().__init__(prefix="")
        self.gru = gluon.rnn.GRU(HIDDEN, layout="NTC", input_size=16, prefix="gru_")
        self.dense = nn.Dense(10, prefix="dense_")

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        read = self.gru(x)
        return self.dense(F.squeeze(F.slice_axis(read, axis=1, begin=-1, end=None), axis=1))


def gru(problem: Problem) -> Program:
    return trained(Reader(), problem)


class EncoderLayer(gluon.HybridBlock):
    """Self-attention and two dense layers, each with its input beside it, and normalized."""

    def __init__(self, name: str) -> None:
        super().__init__(prefix=f"{name}_")
        self.query, self.key, self.value, self.out, self.outer = (
            nn.Dense(WIDTH, flatten=False, prefix=f"{name}_{part}_")
            for part in ("query", "key", "value", "out", "outer")
        )
        self.inner = nn.Dense(INNER, activation="relu", flatten=False, prefix=f"{name}_inner_")
        self.norm1, self.norm2 = (nn.LayerNorm(prefix=f"{name}_{part}_") for part in ("norm1", "norm2"))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        q, k, v = (
            F.reshape(F.transpose(F.reshape(part(x), (0, 0, HEADS, -1)), (0, 2, 1, 3)), (-3, 0, 0))
            for part in (self.query, self.key, self.value)
        )
        p = F.softmax(F.batch_dot(q, k, transpose_b=True) * (WIDTH / HEADS) ** -0.5)
        attended = F.transpose(F.reshape(F.batch_dot(p, v), (-4, -1, HEADS, 0, 0)), (0, 2, 1, 3))
        x = self.norm1(x + self.out(F.reshape(attended, (0, 0, -3))))
        return self.norm2(x + self.outer(self.inner(x)))


class Encoder(gluon.HybridBlock):
    """Embeddings of tokens and positions, the encoder's layers, and the mean over time."""

    def __init__(self) -> None:
        super().__init__(prefix="")
        self.token = nn.Embedding(64, WIDTH, prefix="token_")
        self.position = self.params.get("position_weight", shape=(32, WIDTH))
        self.layers = nn.HybridSequential(prefix="")
        self.layers.add(*(EncoderLayer(f"layer{number}") for number in range(LAYERS)))
        self.dense = nn.Dense(10, prefix="dense_")

    def hybrid_forward(self, F: Any, tokens: Any, position: Any) -> Any:
        x = F.broadcast_add(self.token(tokens), F.expand_dims(position, 0))
        return self.dense(F.mean(self.layers(x), axis=1))


def transformer(problem: Problem) -> Program:
    return trained(Encoder(), problem)


def trained(model: Any, problem: Problem) -> Program:
    hand_over(model, problem)
    options = {"written": None, "compiled": {}, "tuned": {"static_alloc": True, "static_shape": True}}.get(
        problem.how
    )
    if options is not None:
        model.hybridize(**options)
    trainer = gluon.Trainer(model.collect_params(), "sgd", {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM})
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    batches = [(nd.array(one.inputs), nd.array(one.labels)) for one in problem.batches]

    def step(index: int) -> Any:
        inputs, labels = batches[index]
        with autograd.record():
            loss = cross_entropy(model(inputs), labels)
        loss.backward()
        trainer.step(len(labels))
        nd.waitall()
        return Mean(loss)

    def scores(inputs: np.ndarray) -> np.ndarray:
        return model(nd.array(inputs)).asnumpy()

    said = ", ".join(f"{name}={value}" for name, value in (options or {}).items())
    return Program(step, scores, [] if options is None else [f"hybridize({said})"])


class Mean:
    """Gluon gives each example's loss; their mean is only taken where it is asked for."""

    def __init__(self, losses: Any) -> None:
        self.losses = losses

    def __float__(self) -> float:
        return float(self.losses.mean().asscalar())


def hand_over(model: Any, problem: Problem) -> None:
    """Gives the model its weights, by Gluon's names: products' weights are (out, in)."""
    model.initialize(mx.init.Zero(), ctx=mx.cpu())
    model(nd.array(problem.batches[0].inputs))  # the shapes that Gluon finds out by itself
    words = {"w": "weight", "g": "gamma", "b": "beta" if problem.network == "resnet" else "bias"}
    recurrent = {"wx": "l0_i2h_weight", "wh": "l0_h2h_weight", "bx": "l0_i2h_bias", "bh": "l0_h2h_bias"}
    parameters = model.collect_params()
    for name, value in problem.weights.items():
        place, _, part = name.replace(".", "_").rpartition("_")
        word = recurrent.get(part) or words[part]
        if place == "dense" or (part == "b" and f"{place}_{word}" not in parameters):
            word = {"w": "weight", "b": "bias" if place == "dense" else "beta"}[part]
        embedding = place in ("token", "position")
        turned = value.T if value.ndim == 2 and not embedding else value
        parameters[f"{place}_{word}"].set_data(nd.array(np.ascontiguousarray(turned)))
