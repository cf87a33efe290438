"""TensorFlow: its wheel has the headers and the libraries of its C API and of its C++ API."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from languages import _saved_model
from languages._program import Network, Program


class _Network(tf.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.w1, self.b1, self.w2, self.b2 = (tf.Variable(one) for one in network[:4])

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32)])
    def outputs(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.tanh(rows @ self.w1 + self.b1) @ self.w2 + self.b2


def c(folder: Path, network: Network) -> Program:
    return _saved_model.program("tensorflow.c", folder, _saved(folder, network), "TensorFlow's C API")


def cpp(folder: Path, network: Network) -> Program:
    return _saved_model.program("tensorflow.cpp", folder, _saved(folder, network), "TensorFlow's C++ API")


def others() -> list[Path]:
    return [Path(tf.__file__).parent]


def _saved(folder: Path, network: Network) -> tf.Tensor:
    own = _Network(network)
    tf.saved_model.save(own, str(folder), signatures=own.outputs)
    return own.outputs(tf.constant(network.rows))
