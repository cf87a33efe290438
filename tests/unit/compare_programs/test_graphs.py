"""How the graphs question judges programs; the framework here is NumPy, and asks the question's own reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.compare_programs.questions import COMPARE, answers

FAKE = """
import sys

import numpy as np

eager = "eager"
compiled = "compiled"
TOLERANCE = {"tree": 1e-3}
question = sys.modules["graphs_question"]


def lengths(task, how):
    if how == "compiled":
        raise TypeError("it takes no lists")
    return question.EXPECTED["lengths"](task), 0


def lengths_rewritten(task, how):
    a = question.EXPECTED["lengths"](task)
    return a, 4


def tree(task, how):
    roots, gradient = question.EXPECTED["tree"](task)
    return (roots * (1 + 1e-4), gradient), None


def until(task, how):
    raise ValueError("no loops")


def until_rewritten(task, how):
    raise ValueError("nor these")


def early_exit(task, how):
    return question.EXPECTED["early-exit"](task)[:2] + (np.zeros((3, 3)),), 0


def new_shape(task, how):
    losses, seen = iter(question._losses(task)), set()

    def step(x, y):
        seen.add(x.shape)
        return next(losses)

    return step, lambda: len(seen) if how == "compiled" else 0
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("questions")
    (folder / "graphs").mkdir()
    (folder / "graphs/question.py").write_text((COMPARE / "graphs/question.py").read_text())
    (folder / "graphs/fake.py").write_text(FAKE)
    return answers(folder, "graphs", "fake")


def test_as_written(found: dict[str, dict[str, Any]]) -> None:
    assert found["lengths"]["values"] == {"way": "as written", "error": 0.0, "tolerance": 1e-12, "graphs": 0}
    assert found["lengths"]["text"] is None


def test_rewritten_shows_what_became_of_the_plain_program(found: dict[str, dict[str, Any]]) -> None:
    line = found["lengths-compiled"]
    assert (line["values"]["way"], line["values"]["graphs"], line["lines"]) == (
        "rewritten",
        4,
        4,
    )  # with what it uses
    assert line["text"].endswith("TypeError: it takes no lists")


def test_a_tolerance_is_for_one_cell(found: dict[str, dict[str, Any]]) -> None:
    assert found["tree"]["outcome"] == "done"
    assert found["tree"]["values"]["tolerance"] == 1e-3
    assert found["tree-compiled"]["because"].startswith("AssertionError: it is 1.0e-04 from the reference")


def test_neither_way(found: dict[str, dict[str, Any]]) -> None:
    assert found["until"]["because"] == "ValueError: nor these"


def test_arrays_of_another_shape(found: dict[str, dict[str, Any]]) -> None:
    assert found["early-exit"]["because"] == "AssertionError: an array of shape (3, 3), and (4, 4) is asked for"


def test_new_shapes_are_counted(found: dict[str, dict[str, Any]]) -> None:
    told = found["new-shape-compiled"]["values"]
    assert told["sizes"] == [8, 8, 16, 8, 24, 16, 40, 24]
    assert (told["graphs"], told["graphs_after_each"]) == (4, [1, 1, 2, 2, 3, 3, 4, 4])
    assert (len(told["seconds_new"]), len(told["seconds_known"])) == (3, 4)
    assert found["new-shape"]["values"]["graphs"] == 0
