"""Theano writes C, compiles it and calls it; C of a user's own becomes part of that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import theano
import theano.tensor as T

from languages._program import Network, Program

CANNOT = {
    "cpp": "Theano compiles what it writes as C++, but has neither headers nor a library for a program of one's own"
}
NOTES = {"c": "Theano compiles it into its function and calls it: its functions cannot be had without Python."}


def c(folder: Path, network: Network) -> Program:
    """The first layer is the program's, the second Theano's."""
    x, w1, b1, w2, b2 = (T.as_tensor_variable(one) for one in (network.rows, *network[:4]))

    def called(source: Path) -> Any:
        return theano.function([], T.dot(_dense(source)(x, w1, b1), w2) + b2)()

    python = theano.function([], T.dot(T.tanh(T.dot(x, w1) + b1), w2) + b2)()
    return Program(source="theano.c", python=python, call=called, interface="Theano's COp", compiled=False)


def others() -> list[Path]:
    return [Path(theano.__file__).parent]


def _dense(source: Path) -> Any:
    class Dense(theano.gof.COp):
        __props__ = ()
        func_name = "APPLY_SPECIFIC(dense)"

        def __init__(self) -> None:
            super().__init__([str(source)], self.func_name)

        def make_node(self, *inputs: Any) -> Any:
            return theano.Apply(self, list(inputs), [T.fmatrix()])

        def c_code_cache_version(self) -> tuple[int, ...]:
            return ()  # compiled anew in each process

    return Dense()
