"""The references in NumPy, against differences of what they compute."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.unit.compare_programs.questions import COMPARE, load

graphs, flexibility, debugging = (
    load(COMPARE / name / "question.py") for name in ("graphs", "flexibility", "debugging")
)
SEEDS = (1, 2, 3)


def slope(function: Callable[[], float], weights: np.ndarray) -> np.ndarray:
    """By central differences."""
    found = np.zeros_like(weights)
    for place in np.ndindex(weights.shape):
        before = weights[place]
        sides = []
        for moved in (before + 1e-6, before - 1e-6):
            weights[place] = moved
            sides.append(function())
        weights[place] = before
        found[place] = (sides[0] - sides[1]) / 2e-6
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("cell", "weights"),
    [
        ("lengths", lambda problem: problem.w_ih),
        ("tree", lambda problem: problem.w_tree),
        ("until", lambda problem: problem.w_loop),
        ("early-exit", lambda problem: problem.layers[0]),
    ],
)
def test_gradients_of_graphs(cell: str, weights: Callable[[Any], np.ndarray], seed: int) -> None:
    problem = graphs.Problem(seed)
    expected = graphs.EXPECTED[cell]
    assert expected(problem)[-1] == pytest.approx(
        slope(lambda: 0.5 * float((expected(problem)[0] ** 2).sum()), weights(problem)), rel=1e-6, abs=1e-7
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_the_hessian(seed: int) -> None:
    problem, small = flexibility.Problem(seed), 1e-5
    ahead, behind = (
        flexibility.gradients(problem.x, problem.y, problem.w1 + by * problem.v1, problem.w2 + by * problem.v2)
        for by in (small, -small)
    )
    for one, two, product in zip(ahead, behind, flexibility.EXPECTED["hessian-vector"](problem), strict=True):
        assert (one - two) / (2 * small) == pytest.approx(product, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_of_flexibility(seed: int) -> None:
    problem = flexibility.Problem(seed)

    def loss() -> float:
        distance = np.tanh(problem.x @ problem.w1) @ problem.w2 - problem.y
        return float(0.5 * (distance**2).sum(1).mean())

    one, two = flexibility.gradients(problem.x, problem.y, problem.w1, problem.w2)
    assert one == pytest.approx(slope(loss, problem.w1), rel=1e-6, abs=1e-7)
    assert two == pytest.approx(slope(loss, problem.w2), rel=1e-6, abs=1e-7)
    each = flexibility.EXPECTED["per-example-gradients"](problem)
    assert each[0].mean(0) == pytest.approx(one)
    changed = flexibility.EXPECTED["changed-gradients"](problem)
    assert not np.allclose(changed[0], one)
    assert changed[1] == pytest.approx(two)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_goes_downhill_by_the_gradient(seed: int) -> None:
    """Each loss of the sequences that others are compared with follows from the weights before it."""
    problem = graphs.Problem(seed)
    problem.batches = problem.batches[:2]
    first, second = graphs._losses(problem)

    def loss(x: np.ndarray, y: np.ndarray) -> float:
        return float(0.5 * ((np.tanh(x @ problem.w1) @ problem.w2 - y) ** 2).sum(1).mean())

    assert loss(*problem.batches[0]) == pytest.approx(first)
    moved = [problem.rate * slope(lambda: loss(*problem.batches[0]), one) for one in (problem.w1, problem.w2)]
    problem.w1, problem.w2 = problem.w1 - moved[0], problem.w2 - moved[1]
    assert loss(*problem.batches[1]) == pytest.approx(second, rel=1e-6)


class Losses:
    """The losses of the debugging question's programs, without a mistake."""

    @staticmethod
    def classified(task: Any, x: np.ndarray, y: np.ndarray, masked: bool) -> float:
        h = np.tanh(x @ task.w1)
        h[0] *= not masked
        scores = h @ task.w2
        return float((np.log(np.exp(scores).sum(1)) - scores[np.arange(8), y]).mean())

    @staticmethod
    def regressed(task: Any, x: np.ndarray, y: np.ndarray) -> float:
        return float((((np.tanh(x @ task.w1) @ task.w_one)[:, 0] - y) ** 2).mean())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("cell", ["wrong-dtype", "in-place", "broadcast"])
def test_losses_without_a_mistake(cell: str, seed: int) -> None:
    task = debugging.Task(seed)
    for name in ("w1", "w2", "w_one", "x", "targets"):
        setattr(task, name, getattr(task, name).astype(np.float64))
    last, ys = ("w_one", task.targets) if cell == "broadcast" else ("w2", task.labels)

    def loss(step: int) -> float:
        if cell == "broadcast":
            return Losses.regressed(task, task.x[step], ys[step])
        return Losses.classified(task, task.x[step], ys[step], masked=cell == "in-place")

    found = []
    for step in range(debugging.STEPS):
        found.append(loss(step))
        moved = {name: task.rate * slope(lambda: loss(step), getattr(task, name)) for name in ("w1", last)}  # noqa: B023
        for name, by in moved.items():
            setattr(task, name, getattr(task, name) - by)
    assert debugging.RIGHT[cell](debugging.Task(seed)) == pytest.approx(found, rel=1e-6)


def test_every_cell_has_a_reference() -> None:
    def names(question: ModuleType) -> set[str]:
        return {cell.replace("-compiled", "") for cell in question.CELLS}

    assert names(flexibility) == set(flexibility.EXPECTED)
    assert names(graphs) == {*graphs.EXPECTED, "new-shape"}
