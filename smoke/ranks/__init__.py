"""One file per framework, with the same functions in each: how it trains in several processes that compute as one.

Each process is a *rank*. ``_launch`` starts and watches them, ``_rank`` is what each does. As in
``smoke.frameworks``, the work is done in the framework's own way: its collectives, its split of the data, its
averaging of gradients. What a file must hold is ``Ranks``: a unit test compares each file with it by name and
signature, without importing it.

All ranks are on one host and on its CPU. They find each other on loopback, so that they need no network, and no entry
for the container's own name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Optional, Protocol

import numpy as np

from smoke.reference import Problem

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """Which rank this process is, of how many. ``ports`` are free ones of loopback, at least one for each rank."""

    rank: int
    count: int
    ports: tuple[int, ...]


@dataclass(frozen=True)
class Share:
    """What a rank trains: its rows of each batch, from the weights of the problem or from a checkpoint in ``load``.

    ``at`` is to be called at the beginning of each step, with its number. Faults put in on purpose: the rank's
    gradient is multiplied by ``factor`` before it is averaged with the others', and after the step ``stale`` the rank
    puts back the weights that it had before. ``save``: a folder in which a checkpoint is left at the end.
    """

    problem: Problem
    rows: tuple[int, ...]
    steps: int
    at: Callable[[int], None]
    factor: float = 1.0
    stale: Optional[int] = None
    load: str = ""
    save: str = ""

    @property
    def images(self) -> np.ndarray:
        """The images of the rank, as the problem has them."""
        return self.problem.images[list(self.rows)]

    @property
    def labels(self) -> np.ndarray:
        """Their labels."""
        return self.problem.labels[list(self.rows)]


class Ranks(Protocol):
    """A framework's file. The constants are literals: they are read without importing it."""

    # "ranks", or "ranks.jax" (with one backend) -> why the framework cannot.
    CANNOT: dict[str, str]
    # What carries its collectives on the CPU, by the backend; "" where the framework has none.
    TRANSPORT: dict[str, str]
    # The environment variables that the suite sets in each rank and a user need not.
    SWITCHES: tuple[str, ...]

    def join(self, place: Place) -> tuple[int, str]:
        """Join the other ranks; give how many there are and what carries the collectives, as the framework tells."""

    def total(self, values: np.ndarray) -> np.ndarray:
        """Give the sum over all ranks of an array (int32 or float32), element by element, in its own type.

        Collectives that take no integers carry them in a type that holds them exactly.
        """

    def split(self, place: Place, count: int, seed: int) -> list[int]:
        """Give the rows, of ``count``, that this rank is to train on, shuffled with a seed that all ranks share."""

    def train(self, share: Share) -> dict[str, Any]:
        """Train in float32, all ranks together.

        Gives ``losses`` (of this rank's rows or of all, per step, before it), ``gradients`` (first step, averaged)
        and ``weights`` (at the end, as this rank has them) by the reference's names and shapes in float64.
        """

    def leave(self) -> None:
        """Leave the other ranks, as a program does at its end."""
