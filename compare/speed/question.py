"""How fast does it train? Five networks with the same weights, data and arithmetic in every framework.

A cell is NETWORK/BATCH/HOW. ``written``: as the framework's documentation writes it. ``tuned``: with settings that
the documentation offers for speed; the cell lists them. ``compiled``: by the framework's compiler. Those two are
measured at the middle batch only, because compiling takes most of the time.

A framework's file has a function for each network: given a Problem, it gives a Program. A program's step waits for
the device. The first steps' losses must follow the float64 reference within GATE, else the cell failed; then steps
are timed one by one. Moving data from NumPy to the framework is not timed, unless the framework knows no other way.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np

from speed import _networks as networks
from speed._expected import LOSSES
from speed._networks import Batch, Problem, Program

TITLE = "How fast does it train?"
CLAIM = "Caffe is efficient in speed; MXNet scales; PyTorch is as fast as the others."
KIND = "timed"
MEASURES = {"steps": "a steady step", "first": "building and the first step", "seconds": "until the accuracy"}
APART = False  # importing a framework takes longer than a cell
CELLS = {
    "mlp/1/written": "MLP, batch of 1, as written",
    "mlp/32/written": "MLP, batch of 32, as written",
    "mlp/256/written": "MLP, batch of 256, as written",
    "mlp/32/tuned": "MLP, batch of 32, tuned",
    "mlp/32/compiled": "MLP, batch of 32, compiled",
    "cnn/1/written": "CNN, batch of 1, as written",
    "cnn/32/written": "CNN, batch of 32, as written",
    "cnn/256/written": "CNN, batch of 256, as written",
    "cnn/32/tuned": "CNN, batch of 32, tuned",
    "cnn/32/compiled": "CNN, batch of 32, compiled",
    "cnn/accuracy": "CNN, batch of 32, seconds until 95 % of the test digits are named rightly",
    "resnet/1/written": "ResNet-8, batch of 1, as written",
    "resnet/8/written": "ResNet-8, batch of 8, as written",
    "resnet/64/written": "ResNet-8, batch of 64, as written",
    "resnet/8/tuned": "ResNet-8, batch of 8, tuned",
    "resnet/8/compiled": "ResNet-8, batch of 8, compiled",
    "gru/1/written": "GRU, batch of 1, as written",
    "gru/32/written": "GRU, batch of 32, as written",
    "gru/256/written": "GRU, batch of 256, as written",
    "gru/32/tuned": "GRU, batch of 32, tuned",
    "gru/32/compiled": "GRU, batch of 32, compiled",
    "transformer/1/written": "Transformer, batch of 1, as written",
    "transformer/32/written": "Transformer, batch of 32, as written",
    "transformer/256/written": "Transformer, batch of 256, as written",
    "transformer/32/tuned": "Transformer, batch of 32, tuned",
    "transformer/32/compiled": "Transformer, batch of 32, compiled",
}
GATE = 1e-4  # relative; float32 stays a tenth below it, and each fault of the tests is above it
ACCURACY = 0.95
EACH = 11  # steps between two tests of the accuracy: a quarter of an epoch
LONGEST = 440  # steps until the accuracy is given up
WARM, LEAST, MOST, ENOUGH = 0.1, 5, 60, 0.4  # seconds of warming up; steps at least, at most; seconds of steps
DIGITS = "smoke/data/digits.csv.gz"


def program(cell: str) -> str:
    """The network's name: one function for its batches and for written, tuned and compiled."""
    return cell.partition("/")[0]


def measure(cell: str, function: Callable[[Problem], Program], task: Any) -> dict[str, Any]:
    """``first``: seconds from nothing built to the end of the first step; ``steps``: seconds of each later step."""
    slowdown = float(task.settings.get("slowdown", 1))
    keep_to(task.threads)
    if cell == "cnn/accuracy":
        return {"values": to_accuracy(function, slowdown)}
    network, size, how = cell.split("/")
    problem = Problem(network, how, networks.weights(network), networks.batches(network, int(size)))
    first, trained, losses = begun(function, problem, slowdown)
    values = followed(f"{network}/{size}", losses)
    steps, last = steady(trained, len(losses), slowdown)
    assert math.isfinite(last), f"the loss is {last} after {len(steps)} steps"
    return {"values": {"first": first, "steps": steps, **values, "settings": list(trained.settings)}}


def keep_to(threads: int) -> None:
    """Leaves this process so many processors (0: all): TensorFlow and JAX count those, not OMP_NUM_THREADS."""
    if threads:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def begun(
    function: Callable[[Problem], Program], problem: Problem, slowdown: float
) -> tuple[float, Program, list[float]]:
    """The seconds of building and of the first step, the program, and the first steps' losses."""
    made: list[Any] = []

    def build_and_step() -> None:
        made.append(function(problem))
        made.append(made[0].step(0))

    first = timed(build_and_step, slowdown)
    trained, loss = made
    return first, trained, [float(loss), *(float(trained.step(index)) for index in range(1, networks.TURNS))]


def followed(name: str, losses: list[float]) -> dict[str, Any]:
    """The losses, and how far they are from the reference's. Beyond GATE raises AssertionError."""
    expected = LOSSES[name]
    off = max(abs(loss - right) / right for loss, right in zip(losses, expected))
    assert off <= GATE, f"the losses are {losses}, and the reference's {expected}: {off:.1e} is above {GATE:g}"
    return {"loss": losses, "reference": list(expected), "off": off}


def steady(trained: Program, done: int, slowdown: float) -> tuple[list[float], float]:
    """The seconds of each steady step, and the last loss."""
    losses: list[Any] = []
    index = done

    def step() -> None:
        losses[:] = [trained.step(index % networks.TURNS)]

    warm = timed(step, slowdown)
    while warm < WARM:
        index += 1
        warm += timed(step, slowdown)
    steps: list[float] = []
    while len(steps) < LEAST or (len(steps) < MOST and sum(steps) < ENOUGH):
        index += 1
        steps.append(timed(step, slowdown))
    return [float(f"{one:.4g}") for one in steps], float(losses[0])


def timed(work: Callable[[], None], slowdown: float = 1.0) -> float:
    """The seconds that the work takes. A slowdown of 1.05 makes it take 5 % more, by more work."""
    start = time.perf_counter()
    work()
    end = start + (time.perf_counter() - start) * slowdown
    while slowdown > 1 and time.perf_counter() < end:
        pass
    return time.perf_counter() - start


def to_accuracy(function: Callable[[Problem], Program], slowdown: float) -> dict[str, Any]:
    """The seconds that training takes until enough test digits are named rightly; testing is not timed."""
    train, test = digits()
    problem = Problem("cnn", "written", networks.weights("cnn"), train)
    made: list[Program] = []
    seconds = timed(lambda: made.append(function(problem)), slowdown)
    (trained,) = made
    losses: list[Any] = []
    for step in range(LONGEST):
        index = step % len(train)
        seconds += timed(lambda: losses.append(trained.step(index)), slowdown)  # noqa: B023 -- at once
        losses[-1] = float(losses[-1])
        if step + 1 == len(LOSSES["cnn/accuracy"]):
            followed("cnn/accuracy", losses)
        if (step + 1) % EACH == 0:
            accuracy = float((trained.scores(test.inputs).argmax(1) == test.labels).mean())
            if accuracy >= ACCURACY:
                return {"seconds": seconds, "trained_steps": step + 1, "accuracy": accuracy}
    raise AssertionError(f"the accuracy is {accuracy} after {LONGEST} steps")


def digits() -> tuple[list[Batch], Batch]:
    """The suite's digits: training batches of 32 in a fixed order, and every fifth digit for the test."""
    places = [Path(__file__).resolve().parents[2], Path("/opt/assay")]
    (file, *_) = [place / DIGITS for place in places if (place / DIGITS).is_file()]
    table = np.loadtxt(str(file), delimiter=",")
    images = (table[:, :64] / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    labels = table[:, 64].astype(np.int64)
    test = np.arange(len(labels)) % 5 == 4
    order = np.random.RandomState(1).permutation(np.flatnonzero(~test))
    chosen = [order[start : start + 32] for start in range(0, len(order) - 31, 32)]
    return [Batch(images[one], labels[one]) for one in chosen], Batch(images[test], labels[test])
