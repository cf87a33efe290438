"""What the files of TensorFlow and Keras share: both count what Keras 3 holds, on the backend that is set."""

from __future__ import annotations

import functools
import tempfile
from typing import Any, Callable, Iterator

import keras
import numpy as np

from modules._counting import STEPS, Trial, built, first, lowered, public

# What a constructor is given, by the name of its parameter.
ARGUMENTS: dict[str, Any] = {
    "units": 4,
    "filters": 4,
    "kernel_size": 2,
    "input_dim": 10,
    "output_dim": 4,
    "rate": 0.5,
    "stddev": 0.1,
    "factor": 0.1,
    "scale": 0.5,
    "num_heads": 2,
    "num_query_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 4,
    "key_dim": 4,
    "n": 2,
    "pool_size": 2,
    "target_shape": (-1,),
    "dims": (2, 1),
    "height": 4,
    "width": 4,
    "num_bins": 4,
    "output_size": 2,
    "function": lambda: abs,
    "activation": "tanh",
    "output_shape": (2, 4),
    "equation": "...a,ab->...b",
    "cell": lambda: keras.layers.GRUCell(4),
    "cells": lambda: [keras.layers.GRUCell(4)],
}
_L = keras.layers


def _saved() -> Any:
    """A layer that TensorFlow saved."""
    with tempfile.TemporaryDirectory() as folder:
        keras.Sequential([keras.Input((4,)), _L.Dense(4)]).export(folder, verbose=False)
        return _L.TFSMLayer(folder, call_endpoint="serve")


# What is constructed otherwise.
CONSTRUCTED: dict[str, Callable[[], Any]] = {
    "Bidirectional": lambda: _L.Bidirectional(_L.GRU(4)),
    "Wrapper": lambda: _L.Wrapper(_L.Dense(4)),
    "TimeDistributed": lambda: _L.TimeDistributed(_L.Dense(4)),
    "SpectralNormalization": lambda: _L.SpectralNormalization(_L.Dense(4)),
    "EinsumDense": lambda: _L.EinsumDense("ab,bc->ac", output_shape=4),
    "Lambda": lambda: _L.Lambda(lambda x: x + 1),
    "Dot": lambda: _L.Dot(axes=-1),
    "Pipeline": lambda: _L.Pipeline([_L.Rescaling(0.5)]),
    "RandomRotation": lambda: _L.RandomRotation(0.1),
    "Discretization": lambda: _L.Discretization([0.25, 0.5]),
    "IntegerLookup": lambda: _L.IntegerLookup(vocabulary=[1, 2, 3]),
    "StringLookup": lambda: _L.StringLookup(vocabulary=["a", "b"]),
    "TextVectorization": lambda: _L.TextVectorization(vocabulary=["a", "b"]),
    "HashedCrossing": lambda: _L.HashedCrossing(4),
    "MaxNumBoundingBoxes": lambda: _L.MaxNumBoundingBoxes(4),
    "GroupNormalization": lambda: _L.GroupNormalization(groups=2),
    "CategoryEncoding": lambda: _L.CategoryEncoding(num_tokens=10),
    "InputLayer": lambda: _L.InputLayer(shape=(4,)),
    "RandomPosterization": lambda: _L.RandomPosterization(4),
    "RandomTranslation": lambda: _L.RandomTranslation(0.1, 0.1),
    "RandomZoom": lambda: _L.RandomZoom(0.1),
    "MelSpectrogram": lambda: _L.MelSpectrogram(
        fft_length=16, sequence_stride=4, sampling_rate=64, max_freq=32, min_freq=1
    ),
    "STFTSpectrogram": lambda: _L.STFTSpectrogram(frame_length=8, frame_step=4),
    "JaxLayer": lambda: _L.JaxLayer(lambda params, inputs: inputs + params, params=1.0),
    "TFSMLayer": _saved,
}


def floats(*shape: int) -> np.ndarray:
    """Numbers between 0 and 1, all of them different."""
    return np.linspace(0.05, 0.95, int(np.prod(shape)), dtype=np.float32).reshape(shape)


# A layer ran if it takes one of these: pictures first, then sequences, rows, numbers of words, several inputs.
INPUTS: tuple[tuple[Any, ...], ...] = (
    (floats(2, 8, 8, 3),),
    (floats(2, 6, 4),),
    (floats(2, 4),),
    (floats(2, 4, 4, 4, 3),),
    (floats(2, 3, 8, 8, 3),),
    (floats(2, 3, 4, 4, 4, 3),),
    (floats(2, 64, 1),),
    (floats(2, 64),),
    (np.array([[1, 2, 3], [4, 5, 6]]),),
    (np.array(["a", "b"]),),
    ([floats(2, 4), floats(2, 4)],),
    ([floats(2, 6, 4), floats(2, 6, 4)],),
    (floats(2, 6, 4), floats(2, 6, 4)),
    (floats(2, 6, 4), floats(2, 6, 4), floats(2, 6, 4)),
    (floats(2, 4), [floats(2, 4)]),
    (floats(2, 4), [floats(2, 4), floats(2, 4)]),
    ((np.array([1, 2, 3]), np.array([3, 2, 1])),),
)


def layers() -> Iterator[Trial]:
    """The classes of keras.layers."""
    for name, one in public(keras.layers, keras.layers.Layer):
        yield Trial(
            name, functools.partial(_forward, CONSTRUCTED.get(name, functools.partial(built, one, ARGUMENTS)))
        )


def losses() -> Iterator[Trial]:
    """The classes of keras.losses."""
    for name, one in public(keras.losses, keras.losses.Loss):
        yield Trial(name, functools.partial(_loss, one))


def optimizers() -> Iterator[Trial]:
    """The classes of keras.optimizers."""
    for name, one in public(keras.optimizers, keras.optimizers.Optimizer):
        yield Trial(name, functools.partial(_optimized, one))


def models() -> Iterator[Trial]:
    """The functions of keras.applications, without the top that wants large pictures."""
    found = {}
    for name, one in sorted(vars(keras.applications).items()):
        if name[0].isupper() and callable(one):
            found.setdefault(one, name)
    for make, name in found.items():
        yield Trial(name, functools.partial(_model, make))


def _numbers(nest: Any) -> Any:
    """A nest of the backend's tensors, as NumPy's arrays."""
    return keras.tree.map_structure(
        lambda one: keras.ops.convert_to_numpy(one) if keras.ops.is_tensor(one) else one, nest
    )


def _forward(make: Callable[[], Any]) -> Any:
    return first(functools.partial(lambda inputs: _numbers(make()(*inputs)), inputs) for inputs in INPUTS)


def _loss(loss: type) -> Any:
    """Its value and its gradient, by one step of a line."""
    rows, columns = floats(3, 4), floats(3, 4)[::-1].copy()
    classes = np.array([1, 0, 1])
    targets = (columns, classes, np.eye(4, dtype=np.float32)[:3], np.sign(columns - 0.5))
    make = functools.partial(built, loss, ARGUMENTS)
    return first(
        [
            *(functools.partial(_learned, make, rows, one) for one in targets),
            functools.partial(_learned, lambda: _without_columns(make()), rows, classes),
            functools.partial(_learned, make, floats(2, 6, 4), np.array([[1, 2], [3, 1]])),  # CTC: no two alike
        ]
    )


def _without_columns(loss: Any) -> Callable[[Any, Any], Any]:
    """A model turns classes into a column, which not every loss takes."""
    return lambda classes, outputs: loss(keras.ops.squeeze(classes, -1), outputs)


def _learned(make: Callable[[], Any], rows: np.ndarray, targets: np.ndarray) -> Any:
    model = keras.Sequential([keras.Input(rows.shape[1:]), keras.layers.Dense(4, activation="sigmoid")])
    before = model.get_weights()[0].copy()
    model.compile(keras.optimizers.SGD(0.1), make(), run_eagerly=keras.backend.backend() != "jax")
    value = model.train_on_batch(rows, targets)
    change = model.get_weights()[0] - before
    if not change.any():
        raise ArithmeticError("the gradient is zero")
    return value, change


# Optimizers that are made of others.
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "LossScaleOptimizer": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01)),
    "MultiOptimizer": lambda: keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(default_optimizer=keras.optimizers.SGD(0.01))
    ),
}


def _optimized(optimizer: type) -> list[float]:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
    model.compile(
        OPTIMIZERS.get(optimizer.__name__, optimizer)(),
        "mean_squared_error",
        run_eagerly=keras.backend.backend() != "jax",
    )
    rows, targets = floats(8, 3), floats(8, 2)
    return lowered([float(model.train_on_batch(rows, targets)) for _ in range(STEPS + 1)])


def _model(make: Callable[..., Any]) -> Any:
    def attempt(side: int) -> Any:
        keras.backend.clear_session()
        model = make(weights=None, include_top=False, input_shape=(side, side, 3))
        return _numbers(model(floats(1, side, side, 3), training=False))

    return first(functools.partial(attempt, side) for side in (32, 75, 224, 331))
