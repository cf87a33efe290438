"""Keras 2.3 on Theano, and the functions of theano.tensor.nnet. Theano itself has no optimizers."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Iterator

import keras
import numpy as np
import theano
import theano.tensor as T
from keras import backend as K
from keras_preprocessing.image import ImageDataGenerator

from modules import _pictures
from modules._counting import STEPS, Trial, built, first, lowered, public
from modules._pictures import Transforms

NOTES = {
    "layers": "Of Keras 2.3, and functions of theano.tensor.nnet; run without C, which takes seconds to compile.",
    "losses": "Of Keras 2.3, and functions of theano.tensor.nnet.",
    "optimizers": "Of Keras 2.3; Theano has none of its own.",
    "models": "Of Keras 2.3, without the layer that names the classes; Theano has none of its own.",
    "transforms": "keras.preprocessing computes in NumPy; only the crop is a layer.",
}
# Compiling a function in C takes seconds, and hundreds are made here.
theano.config.mode = "FAST_COMPILE"
theano.config.cxx = ""

ARGUMENTS: dict[str, Any] = {
    "units": 4,
    "filters": 4,
    "kernel_size": 2,
    "input_dim": 10,
    "output_dim": 4,
    "rate": 0.3,
    "stddev": 0.1,
    "l1": 0.1,
    "n": 2,
    "axes": -1,
    "dims": (2, 1),
    "target_shape": (-1,),
    "function": lambda: abs,
    "activation": "tanh",
    "cell": lambda: keras.layers.GRUCell(4),
    "cells": lambda: [keras.layers.GRUCell(4)],
}
_L = keras.layers
CONSTRUCTED: dict[str, Callable[[], Any]] = {
    "Bidirectional": lambda: _L.Bidirectional(_L.GRU(4)),
    "TimeDistributed": lambda: _L.TimeDistributed(_L.Dense(4)),
    "Lambda": lambda: _L.Lambda(lambda x: x + 1),
}


def _floats(*shape: int) -> np.ndarray:
    return np.linspace(0.05, 0.95, int(np.prod(shape)), dtype=np.float32).reshape(shape)


_PAIR = [_floats(2, 4), _floats(2, 4)[::-1].copy()]
INPUTS: tuple[Any, ...] = (
    _floats(2, 4),
    _floats(2, 6, 4),
    _floats(2, 8, 8, 3),
    _floats(2, 4, 4, 4, 3),
    _floats(2, 3, 8, 8, 3),
    np.array([[1, 2, 3], [4, 5, 6]], np.float32),
    _PAIR,
    [_floats(2, 6, 4), _floats(2, 6, 4)],
)


def layers() -> Iterator[Trial]:
    for name, one in public(keras.layers, keras.layers.Layer):
        yield Trial(
            f"keras.{name}",
            functools.partial(_forward, CONSTRUCTED.get(name, functools.partial(built, one, ARGUMENTS))),
        )
    for name, one in sorted(vars(T.nnet).items()):
        if inspect.isfunction(one) and not name.startswith("_") and "crossentropy" not in name:
            yield Trial(f"nnet.{name}", functools.partial(_function, one))


def losses() -> Iterator[Trial]:
    for name, one in public(keras.losses, keras.losses.Loss):
        yield Trial(f"keras.{name}", functools.partial(_loss, lambda y, x, one=one: one()(y, x)))
    for name in ("binary_crossentropy", "categorical_crossentropy", "sigmoid_binary_crossentropy"):
        loss = getattr(T.nnet, name)
        yield Trial(f"nnet.{name}", functools.partial(_loss, lambda y, x, loss=loss: T.mean(loss(x, y))))


def optimizers() -> Iterator[Trial]:
    for name, one in public(keras.optimizers, keras.optimizers.Optimizer):
        yield Trial(f"keras.{name}", functools.partial(_optimized, one))


def models() -> Iterator[Trial]:
    found: dict[Any, str] = {}
    for name, one in sorted(vars(keras.applications).items()):
        if name[0].isupper() and callable(one):
            found.setdefault(one, name)
    for make, name in found.items():
        yield Trial(f"keras.{name}", functools.partial(_model, make))


def transforms() -> Transforms:
    edge = (_pictures.SIDE - _pictures.CROPPED) // 2
    pictures = K.placeholder((None, _pictures.SIDE, _pictures.SIDE, 3))
    crop = K.function([pictures], [_L.Cropping2D(edge)(pictures)])
    makes = ImageDataGenerator(featurewise_center=True, featurewise_std_normalization=True)
    makes.mean, makes.std = np.array(_pictures.MEAN, np.float32), np.float32(_pictures.DEVIATION - 1e-6)
    own = {
        "crop": lambda images: crop([images])[0],
        "flip": lambda images: np.array([makes.apply_transform(one, {"flip_horizontal": True}) for one in images]),
        "normalize": lambda images: makes.standardize(images.copy()),
    }
    return Transforms(lambda images: images, lambda images: images, own)


def _forward(make: Callable[[], Any]) -> Any:
    def attempt(inputs: Any) -> Any:
        several = isinstance(inputs, list)
        given = [keras.Input(one.shape[1:]) for one in (inputs if several else [inputs])]
        model = keras.Model(given, make()(given if several else given[0]))
        return model.predict(inputs)

    return first(functools.partial(attempt, inputs) for inputs in INPUTS)


def _function(function: Callable[..., Any]) -> Any:
    """With one matrix, with pictures and filters, or with what else is asked for."""
    pictures, filters = _floats(2, 3, 8, 8), _floats(4, 3, 2, 2)
    given = (
        ((_floats(2, 4),), {}),
        ((pictures, filters), {}),
        ((_floats(2, 3, 6, 6, 6), _floats(4, 3, 2, 2, 2)), {}),
        ((pictures, filters), {"input_shape": pictures.shape, "filter_shape": filters.shape}),
        ((_floats(2, 4), np.ones(4, np.float32), np.ones(4, np.float32)), {}),
        ((_floats(2, 4), *[np.ones(4, np.float32)] * 4), {}),
        ((_floats(2, 4, 8, 8), 2), {}),
        ((pictures,), {"neib_shape": (2, 2)}),
        ((np.array([1, 0, 3]), 4), {}),
    )

    def attempt(inputs: tuple[Any, ...], more: dict[str, Any]) -> Any:
        taken = [T.as_tensor_variable(one) if isinstance(one, np.ndarray) else one for one in inputs]
        made = function(*taken, **more)
        return theano.function([], list(made) if isinstance(made, (list, tuple)) else [made])()

    return first(functools.partial(attempt, inputs, more) for inputs, more in given)


def _loss(loss: Callable[[Any, Any], Any]) -> Any:
    columns = _floats(3, 4)[::-1].copy()
    signs = np.sign(columns - 0.5)

    def attempt(targets: np.ndarray) -> Any:
        scores = T.matrix()
        value = loss(T.as_tensor_variable(targets), scores)
        found = theano.function([scores], [value, T.grad(value, scores)])(_floats(3, 4).astype(theano.config.floatX))
        if not found[1].any():
            raise ArithmeticError("the gradient is zero")
        return found

    return first(functools.partial(attempt, one) for one in (columns, signs, np.array([[1], [0], [3]])))


def _optimized(optimizer: type) -> list[float]:
    np.random.seed(1)
    model = keras.Sequential([keras.layers.Dense(2, use_bias=False, input_shape=(3,))])
    model.compile(optimizer(), "mean_squared_error")
    rows, targets = _floats(8, 3), _floats(8, 2)
    return lowered([float(model.train_on_batch(rows, targets)) for _ in range(STEPS + 1)])


def _model(make: Callable[..., Any]) -> Any:
    def attempt(side: int) -> Any:
        K.clear_session()
        model = make(weights=None, include_top=False, input_shape=(side, side, 3))
        return model.predict(_floats(1, side, side, 3))

    return first(functools.partial(attempt, side) for side in (32, 75, 139, 224, 331))
