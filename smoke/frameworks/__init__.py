"""One file per framework, with the same functions in each; the only files of the suite that import one.

They take and give NumPy arrays and plain data. There is no layer over the frameworks: each file does the work in its
framework's own way, so that it is the framework that is certified. What a file must hold is ``Framework``: a unit
test compares each file with it by name and signature, without importing it, and a type checker does so by type.

Every function but ``describe`` is called after ``use_device`` and works on that device in the precision that it is
given, never on another one. ``be_deterministic`` is called before it, or not at all. A function that cannot do what
it is asked raises ``Cannot`` with the reason; better, ``CANNOT`` says so beforehand.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from smoke.data import Digits, Lines
from smoke.reference import Problem

# What train_parity puts wrong when told to: a bias that never gets its gradient, and products whose inputs are
# rounded to tf32's eleven bits, as a GPU does it in silence.
FAULTS = ("bias-gradient-dropped", "inputs-tf32")


class Framework(Protocol):
    """A framework's file. The constants are literals: they are read without importing it."""

    # Family or result id -> why the framework cannot.
    CANNOT: dict[str, str]
    COMPILERS: tuple[str, ...]
    WORKLOADS: tuple[str, ...]
    # What the file sets and a user does not, by what it is set for (see Context.switches).
    SWITCHES: dict[str, tuple[str, ...]]
    # Whether the framework takes a GPU by itself.
    TAKES_GPU: bool
    # The first lines of the framework's tutorial, as a program that is run by itself. Its last line of output is a
    # JSON object: ``sum`` of three ones, ``gradient`` of the sum of x * x there, ``losses`` before and after a
    # training step, ``loaded`` (what was saved and loaded is the same), ``device`` in the framework's words.
    FIRST_LINES: str

    def describe(self) -> dict[str, Any]:
        """Tell what is loaded: ``name``, ``version``, and whatever else tells the build (CUDA, cuDNN, threads).

        It is ready for JSON.
        """

    def be_deterministic(self) -> None:
        """Turn on every switch that makes two runs equal."""

    def use_device(self, device: str) -> None:
        """Put all that follows on that device: "cpu" or "gpu".

        Raises DeviceMissing for a GPU that is not there; never falls back. Where there is nothing but the CPU it sets
        nothing, so that what is certified is what a user's process does.
        """

    def matmul(self, a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
        """a (m, k) times b (k, n), widened to float64.

        precision: f64, f32, tf32, fp16 or bf16, asked of the framework as a user asks for it, so that what comes out
        shows what the framework really did.
        """

    def conv2d(self, x: np.ndarray, w: np.ndarray, precision: str) -> np.ndarray:
        """Valid cross-correlation of x (batch, in, h, w) with w (out, in, kh, kw), widened to float64."""

    def train_parity(self, problem: Problem, precision: str, fault: str) -> dict[str, Any]:
        """Train the problem.

        Gives ``losses`` (per step, before it), ``gradients`` (first step) and ``weights`` (at the end) by the
        reference's names and shapes in float64, and ``device`` ("cpu" or "gpu"), read off the trained weights.
        fault: "" for none, else one of FAULTS.
        """

    def train_compiled(self, problem: Problem, precision: str, compiler: str) -> dict[str, Any]:
        """Train the problem, each step compiled by one of the file's COMPILERS.

        Gives what train_parity gives; ``compiled`` counts what the compiler really made.
        """

    def train_digits(self, digits: Digits, seed: int) -> dict[str, Any]:
        """Train a small CNN.

        Gives ``predictions`` (labels for its test images), ``losses`` and ``seconds_per_step``.
        """

    def train_sequence(self, lines: Lines, seed: int) -> dict[str, Any]:
        """Train a recurrent network, whose graph is as long as the line that it reads.

        Gives ``bits`` (per character, on its test lines), ``losses`` and ``seconds_per_step``.
        """

    def train_workload(self, name: str, digits: Digits, seed: int) -> dict[str, Any]:
        """Train one of the file's WORKLOADS, which is judged as train_digits is.

        One on text trains on ``smoke.data.speeches()``, predicts the labels of its test texts, and says so: ``data``
        is "speeches".
        """

    def save_checkpoint(self, problem: Problem, precision: str, steps: int, folder: str) -> None:
        """Train ``steps`` steps and save weights and optimizer in the framework's own format."""

    def continue_checkpoint(self, problem: Problem, precision: str, folder: str) -> dict[str, Any]:
        """Load that in a fresh process, train the rest of ``problem.steps`` and give what train_parity gives."""

    def load_batches(self, count: int, workers: int) -> list[float]:
        """Load batches 0 .. count-1 (``smoke.data.batch``) and give the sum of each as the framework computes it.

        They come through ``workers`` processes of the framework's own loader, or of Python's multiprocessing where it
        has none.
        """

    def device_evidence(self, device: str) -> dict[str, Any]:
        """Compute on ``device`` and tell where that really was.

        Gives ``device`` ("cpu" or "gpu"), ``name``, ``bytes`` allocated on the GPU and ``kernels`` that its profiler
        counted there.
        """


class DeviceMissing(Exception):
    """The device that the plan declares is not there, or the framework cannot use it."""


class Cannot(Exception):
    """The framework cannot do this; the text says why. It becomes not-run, never a pass."""
