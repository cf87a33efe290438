"""Keras is Python alone; its models are saved for the libraries of TensorFlow, if that is the backend."""

from __future__ import annotations

from pathlib import Path

import keras

from languages import _saved_model
from languages._program import Network, Program

_SERVED = "The model is exported, and served by the libraries of TensorFlow, the backend."
NOTES = {"c": _SERVED, "cpp": _SERVED}


def c(folder: Path, network: Network) -> Program:
    return _saved_model.program("tensorflow.c", folder, _exported(folder, network), "TensorFlow's C API")


def cpp(folder: Path, network: Network) -> Program:
    return _saved_model.program("tensorflow.cpp", folder, _exported(folder, network), "TensorFlow's C++ API")


def others() -> list[Path]:
    return [Path(keras.__file__).parent]


def _exported(folder: Path, network: Network) -> object:
    layers = [keras.Input((3,)), keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.set_weights(list(network[:4]))
    model.export(str(folder), verbose=False)
    return keras.ops.convert_to_numpy(model(network.rows))
