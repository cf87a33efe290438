"""The network that the programs of all languages compute, and what a framework's file says of a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import numpy as np


class Network(NamedTuple):
    """The network of all programs, tanh(x w1 + b1) w2 + b2, and the rows that it is given; all are float32."""

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    rows: np.ndarray

    def outputs(self) -> np.ndarray:
        """What it makes of the rows, in float64."""
        w1, b1, w2, b2, rows = (one.astype(np.float64) for one in self)
        return np.tanh(rows @ w1 + b1) @ w2 + b2


class Program(NamedTuple):
    """A source beside the framework's file, what compiles it, and what it is given; or who calls it.

    ``python`` is what the framework computes in Python. ``call`` gets the path of the shared library that is made of
    the source, and returns the numbers: for what is no program of its own.
    """

    source: str
    python: Any
    flags: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    call: Optional[Callable[[Path], Any]] = None
    compiled: bool = True  # else the framework compiles it, and `call` gets the path of the source
    interface: str = ""  # whose functions the program calls


def network() -> Network:
    """The same numbers on each machine; 3 columns in, 5 within, 2 out, 4 rows."""

    def numbers(*shape: int) -> np.ndarray:
        return np.sin(1.0 + np.arange(np.prod(shape))).reshape(shape).astype(np.float32)

    return Network(
        numbers(3, 5), numbers(5), numbers(5, 2), numbers(2), np.arange(12, dtype=np.float32).reshape(4, 3) / 8
    )
