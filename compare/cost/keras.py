"""Keras, on the backend that is set."""

from __future__ import annotations

from typing import Any


def imported() -> None:
    """What a first program imports."""
    import keras  # noqa: F401


def first_step(rows: Any, targets: Any, rate: float) -> Any:
    """The weights after one step of SGD."""
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(rate), "mean_squared_error")
    model.train_on_batch(rows, targets)
    return model.get_weights()[0]
