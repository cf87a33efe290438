"""The five networks that are timed: their sizes, and the weights and data that every framework starts with.

Everything is float32 and made by NumPy's RandomState, whose stream is frozen, so all frameworks get the same bits.
Arrays are NCHW, kernels OIHW, dense weights (in, out), sequences (batch, time, features); ``_reference.py`` has the
arithmetic. Labels can be learned: an input is a pattern of its class, and noise.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Callable, Sequence

import numpy as np

LEARNING_RATE, MOMENTUM = 0.01, 0.9  # v = MOMENTUM * v + gradient; w = w - LEARNING_RATE * v
EPSILON = 1e-5  # of batch and layer normalization
CLASSES = 10
KEPT = 0.9  # of the running mean and variance of a batch normalization, at each step
TURNS = 4  # batches that the steps take in turn

BATCHES = {
    "mlp": (1, 32, 256),
    "cnn": (1, 32, 256),
    "resnet": (1, 8, 64),  # two cores need seconds for a step of 256
    "gru": (1, 32, 256),
    "transformer": (1, 32, 256),
}
TITLES = {
    "mlp": "MLP 784-512-256-10",
    "cnn": "CNN for digits of 8 by 8",
    "resnet": "ResNet-8 for images of 32 by 32",
    "gru": "GRU, 64 wide, over 32 steps",
    "transformer": "Transformer encoder, two layers, 64 wide, over 32 tokens",
}

PIXELS = 784
SIZES = {"cnn": (1, 8, 8), "resnet": (3, 32, 32)}
STAGES = (16, 32, 64)  # channels of the ResNet's three stages; each halves the image, but for the first
TIME, FEATURES, HIDDEN = 32, 16, 64
TOKENS, WIDTH, HEADS, INNER, LAYERS = 64, 64, 4, 256, 2

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Batch:
    """One step's input, float32, or int64 for tokens, and its labels, (batch,) int64."""

    inputs: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Problem:
    """What a framework's function is given. how: "written", "tuned" or "compiled"."""

    network: str
    how: str
    weights: Arrays
    batches: Sequence[Batch]


@dataclass(frozen=True)
class Program:
    """What it gives. step(number of a batch) trains and waits for the device; float() of what it gives is the loss.

    scores(inputs) gives the trained network's scores, a NumPy array (batch, classes); settings: what is not the
    framework's default, or what its default is where a reader must know.
    """

    step: Callable[[int], Any]
    scores: Callable[[np.ndarray], np.ndarray]
    settings: Sequence[str]


def weights(network: str) -> Arrays:
    """The weights by name: kernels and matrices end in ``.w``, biases in ``.b``, scales in ``.g``.

    A ResNet's convolutions have no bias. A GRU's gates are in the order reset, update, new; ``gru.wx`` and ``gru.bx``
    are the input's, ``gru.wh`` and ``gru.bh`` the state's.
    """
    random = np.random.RandomState(zlib.crc32(network.encode()))
    return {name: _values(random, name, shape) for name, shape in _SHAPES[network]().items()}


def batches(network: str, size: int) -> list[Batch]:
    """The batches that the steps take in turn."""
    random = np.random.RandomState(size)
    return [_batch(random, network, size) for _ in range(TURNS)]


def channels_last(network: str, given: Arrays) -> Arrays:
    """The weights for a framework whose images are NHWC: kernels HWIO, and the CNN flattened in that order."""
    turned = {name: value.transpose(2, 3, 1, 0) if value.ndim == 4 else value for name, value in given.items()}
    if network == "cnn":
        planes = given["dense.w"].reshape(-1, 4, 4, CLASSES)
        turned["dense.w"] = planes.transpose(1, 2, 0, 3).reshape(-1, CLASSES)
    return turned


def _values(random: np.random.RandomState, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith(".g"):
        return np.ones(shape, np.float32)
    fan_in = int(np.prod(shape[1:])) if len(shape) == 4 else shape[0]
    deviation = 0.05 if len(shape) == 1 else (2.0 / fan_in) ** 0.5
    return (random.randint(-64, 65, shape) * (deviation / 37.0)).astype(np.float32)  # 37: that of the whole numbers


def _batch(random: np.random.RandomState, network: str, size: int) -> Batch:
    labels = random.randint(0, CLASSES, size).astype(np.int64)
    if network == "transformer":
        return Batch((labels[:, None] * 6 + random.randint(0, 16, (size, TIME))) % TOKENS, labels)
    shape = {"mlp": (PIXELS,), "gru": (TIME, FEATURES)}.get(network) or SIZES[network]
    pattern = np.random.RandomState(CLASSES).randint(-8, 9, (CLASSES, *shape))
    return Batch(((pattern[labels] + random.randint(-8, 9, (size, *shape))) / 8.0).astype(np.float32), labels)


def _dense(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.w": (inputs, outputs), f"{name}.b": (outputs,)}


def _mlp() -> dict[str, tuple[int, ...]]:
    return {**_dense("dense1", PIXELS, 512), **_dense("dense2", 512, 256), **_dense("dense3", 256, CLASSES)}


def _cnn() -> dict[str, tuple[int, ...]]:
    convolutions = {"conv1.w": (16, 1, 3, 3), "conv1.b": (16,), "conv2.w": (32, 16, 3, 3), "conv2.b": (32,)}
    return {**convolutions, **_dense("dense", 32 * 4 * 4, CLASSES)}


def _resnet() -> dict[str, tuple[int, ...]]:
    shapes = _convolution("stem", 3, STAGES[0], 3)
    inputs = STAGES[0]
    for number, outputs in enumerate(STAGES, 1):
        shapes.update(_convolution(f"block{number}.first", inputs, outputs, 3))
        shapes.update(_convolution(f"block{number}.second", outputs, outputs, 3))
        if inputs != outputs:
            shapes.update(_convolution(f"block{number}.short", inputs, outputs, 1))
        inputs = outputs
    return {**shapes, **_dense("dense", STAGES[-1], CLASSES)}


def _convolution(name: str, inputs: int, outputs: int, kernel: int) -> dict[str, tuple[int, ...]]:
    """A convolution and its batch normalization."""
    return {f"{name}.w": (outputs, inputs, kernel, kernel), f"{name}.g": (outputs,), f"{name}.b": (outputs,)}


def _gru() -> dict[str, tuple[int, ...]]:
    wide = 3 * HIDDEN
    own = {"gru.wx": (FEATURES, wide), "gru.wh": (HIDDEN, wide), "gru.bx": (wide,), "gru.bh": (wide,)}
    return {**own, **_dense("dense", HIDDEN, CLASSES)}


def _transformer() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"token.w": (TOKENS, WIDTH), "position.w": (TIME, WIDTH)}
    for layer in range(LAYERS):
        for part in ("query", "key", "value", "out"):
            shapes.update(_dense(f"layer{layer}.{part}", WIDTH, WIDTH))
        shapes.update(_dense(f"layer{layer}.inner", WIDTH, INNER))
        shapes.update(_dense(f"layer{layer}.outer", INNER, WIDTH))
        for part in ("norm1", "norm2"):
            shapes.update({f"layer{layer}.{part}.g": (WIDTH,), f"layer{layer}.{part}.b": (WIDTH,)})
    return {**shapes, **_dense("dense", WIDTH, CLASSES)}


_SHAPES = {"mlp": _mlp, "cnn": _cnn, "resnet": _resnet, "gru": _gru, "transformer": _transformer}
