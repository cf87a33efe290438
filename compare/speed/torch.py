"""The timed networks in PyTorch, as its tutorials write them: modules, and zero_grad, backward, step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from speed._networks import (
    HEADS,
    HIDDEN,
    INNER,
    LAYERS,
    LEARNING_RATE,
    MOMENTUM,
    STAGES,
    WIDTH,
    Arrays,
    Problem,
    Program,
)

SCAFFOLD = ("state",)  # handing over the weights is not counted as lines of the program
WORDS = {"w": "weight", "g": "weight", "b": "bias"}


def mlp(problem: Problem) -> Program:
    model = nn.Sequential()
    model.add_module("dense1", nn.Linear(784, 512))
    model.add_module("relu1", nn.ReLU())
    model.add_module("dense2", nn.Linear(512, 256))
    model.add_module("relu2", nn.ReLU())
    model.add_module("dense3", nn.Linear(256, 10))
    return trained(model, problem)


def cnn(problem: Problem) -> Program:
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(1, 16, 3, padding=1))
    model.add_module("relu1", nn.ReLU())
    model.add_module("pool", nn.MaxPool2d(2))
    model.add_module("conv2", nn.Conv2d(16, 32, 3, padding=1))
    model.add_module("relu2", nn.ReLU())
    model.add_module("flatten", nn.Flatten())
    model.add_module("dense", nn.Linear(32 * 4 * 4, 10))
    return trained(model, problem)


class Normed(nn.Module):
    """A convolution and its batch normalization."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Any) -> Any:
        return self.norm(self.conv(x))


class Block(nn.Module):
    """Two convolutions, beside which the input goes by."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.first, self.second = Normed(inputs, outputs, 3, stride), Normed(outputs, outputs, 3)
        self.short = nn.Identity() if stride == 1 else Normed(inputs, outputs, 1, stride)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.short(x) + self.second(torch.relu(self.first(x))))


def resnet(problem: Problem) -> Program:
    model = nn.Sequential()
    model.add_module("stem", Normed(3, STAGES[0], 3))
    model.add_module("relu", nn.ReLU())
    for number, inputs in enumerate((STAGES[0], *STAGES[:-1])):
        model.add_module(f"block{number + 1}", Block(inputs, STAGES[number]))
    model.add_module("pool", nn.AdaptiveAvgPool2d(1))
    model.add_module("flatten", nn.Flatten())
    model.add_module("dense", nn.Linear(STAGES[-1], 10))
    return trained(model, problem)


class Reader(nn.Module):
    """The scores of a sequence, from a GRU's last state."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(16, HIDDEN, batch_first=True)
        self.dense = nn.Linear(HIDDEN, 10)

    def forward(self, x: Any) -> Any:
        return self.dense(self.gru(x)[1][0])


def gru(problem: Problem) -> Program:
    return trained(Reader(), problem)


class Encoder(nn.Module):
    """Embeddings of tokens and positions, the encoder's layers, and the mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(64, WIDTH)
        self.position = nn.Parameter(torch.zeros(32, WIDTH))
        options = {"dim_feedforward": INNER, "dropout": 0.0, "batch_first": True}
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(WIDTH, HEADS, **options) for _ in range(LAYERS))
        self.dense = nn.Linear(WIDTH, 10)

    def forward(self, tokens: Any) -> Any:
        x = self.token(tokens) + self.position
        for layer in self.layers:
            x = layer(x)
        return self.dense(x.mean(1))


def transformer(problem: Problem) -> Program:
    return trained(Encoder(), problem)


def trained(model: Any, problem: Problem) -> Program:
    model.load_state_dict({name: torch.tensor(value) for name, value in state(problem).items()}, strict=False)
    layout, options, settings = torch.contiguous_format, {}, []
    if problem.how == "tuned":
        options, settings = {"fused": True}, ["SGD(fused=True)"]
        if problem.network in ("cnn", "resnet"):
            layout, settings = torch.channels_last, [*settings, "memory_format=channels_last"]
    if problem.how == "compiled":
        settings = ["torch.compile(model)"]
    model = model.to(memory_format=layout)
    forward = torch.compile(model) if problem.how == "compiled" else model
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, **options)
    batches = [(tensor(one.inputs, layout), torch.tensor(one.labels)) for one in problem.batches]

    def step(index: int) -> Any:
        inputs, labels = batches[index]
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def scores(inputs: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(tensor(inputs, layout)).numpy()

    return Program(step, scores, settings)


def tensor(value: np.ndarray, layout: Any) -> Any:
    made = torch.tensor(value)
    return made.to(memory_format=layout) if made.ndim == 4 else made


def state(problem: Problem) -> Arrays:
    """The weights by PyTorch's names; its products' weights are (out, in)."""
    given = {name: value.T if value.ndim == 2 else value for name, value in problem.weights.items()}
    if problem.network == "gru":
        names = {"wx": "weight_ih_l0", "wh": "weight_hh_l0", "bx": "bias_ih_l0", "bh": "bias_hh_l0"}
        given.update({f"gru.{name}": given.pop(f"gru.{part}") for part, name in names.items()})
    if problem.network == "transformer":
        given.update({"token.weight": given.pop("token.w").T, "position": given.pop("position.w").T})
        for layer in range(LAYERS):
            given.update(encoder_layer(f"layer{layer}.", f"layers.{layer}.", given))
    named = {}
    for name, value in given.items():
        place, _, part = name.rpartition(".")
        if problem.network == "resnet" and place != "dense":
            place += ".conv" if part == "w" else ".norm"
        named[f"{place}.{WORDS.get(part, part)}" if place else part] = value
    return named


def encoder_layer(own: str, name: str, given: Arrays) -> Arrays:
    """The weights of one layer of the encoder, taken out of those that are given."""
    projections = [[given.pop(f"{own}{part}.{kind}") for part in ("query", "key", "value")] for kind in "wb"]
    parts = {"out": "self_attn.out_proj", "inner": "linear1", "outer": "linear2", "norm1": "norm1", "norm2": "norm2"}
    moved = {f"{name}self_attn.in_proj_{WORDS[k]}": np.concatenate(v) for k, v in zip("wb", projections)}
    for part, theirs in parts.items():
        for kind in ("w", "g", "b"):
            if f"{own}{part}.{kind}" in given:
                moved[f"{name}{theirs}.{WORDS[kind]}"] = given.pop(f"{own}{part}.{kind}")
    return moved
