"""How the debugging question judges what a framework says to a mistake; the framework here is NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.compare_programs.questions import COMPARE, answers

FAKE = """
import os
import sys
import warnings

import numpy as np

ONE_WAY = "it has one way"
CANNOT = {"nan-checked": "it has no check"}
eager = None


def right(task, batches):
    w1, w2, losses = np.float64(task.w1), np.float64(task.w2), []
    for x, y in batches:
        h = np.tanh(x @ w1)
        p = np.exp(h @ w2)
        p /= p.sum(1, keepdims=True)
        losses.append(-np.log(p[np.arange(8), y]).mean())
        back = (p - np.eye(3)[y]) / 8
        w1, w2 = w1 - task.rate * x.T @ (back @ w2.T * (1 - h * h)), w2 - task.rate * h.T @ back
    return losses


def wrong_shape(task, how):
    for x, _ in task.batches():
        h = x @ task.w1
        print(h)
        h + x @ task.narrow  # <- the mistake


def wrong_dtype(task, how):
    print("<a symbol (8, 6)>")
    return right(task, task.integer_batches())


def nan(task, how):
    with np.errstate(all="ignore"):
        return [float((x / x.sum()).sum()) for x, _ in task.empty_batches()]


def nan_checked(task, how):
    raise RuntimeError("nobody asks")


def label_range(task, how):
    losses = []
    for x, y in task.bad_label_batches():
        chosen = np.eye(3)[y]  # <- the mistake
        losses.append(chosen.sum())
    return losses


def gradients_kept(task, how):
    return "nothing adds up here"


def two_devices(task, how):
    for _ in task.batches():
        os.write(2, b"F1127 10:00:00.000000 1 /home/maker/fake/src/./a.cpp:1] Check failed: cpu cpu(1)\\\\n")
        os.abort()


def in_place(task, how):
    warnings.warn("it looks wrong")
    return right(task, task.batches())


def helper(values, y):
    return values - y[:5]


def broadcast(task, how):
    for x, y in task.regression_batches():
        helper(x @ task.w1 @ task.w_one, y[:, None])  # <- the mistake
""".replace("\\\\n", "\\n")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("questions")
    (folder / "debugging").mkdir()
    (folder / "debugging/question.py").write_text((COMPARE / "debugging/question.py").read_text())
    (folder / "debugging/fake.py").write_text(FAKE)
    return answers(folder, "debugging", "fake")


def values(line: dict[str, Any]) -> dict[str, Any]:
    assert line["outcome"] == "done", line
    values: dict[str, Any] = line["values"]
    return values


def test_a_mistake_that_is_raised(found: dict[str, dict[str, Any]]) -> None:
    line = found["wrong-shape"]
    assert values(line) == {
        "possible": True, "raised": True, "warned": False, "printable": True, "error": "ValueError", "step": 1,
        "names_line": True, "shows_line": True, "names_it": True,
    }  # fmt: skip
    assert line["text"].startswith("Traceback")
    assert line["text"].splitlines()[-1].startswith("ValueError: operands could not be broadcast together")
    assert "question.py" not in line["text"]


def test_a_mistake_that_is_harmless(found: dict[str, dict[str, Any]]) -> None:
    told = values(found["wrong-dtype"])
    assert (told["raised"], told["harmless"], told["printable"]) == (False, True, False)
    assert len(told["losses"]) == 5


def test_nan_that_nobody_notices(found: dict[str, dict[str, Any]]) -> None:
    told = values(found["nan"])
    assert (told["raised"], told["harmless"]) == (False, False)
    assert told["losses"][2] == "nan"
    assert found["nan-checked"]["because"] == "it has no check"


def test_the_step_at_which_it_is_raised(found: dict[str, dict[str, Any]]) -> None:
    told = values(found["label-range"])
    assert (told["step"], told["error"], told["names_it"], told["names_line"]) == (3, "IndexError", True, True)


def test_a_mistake_that_cannot_be_made(found: dict[str, dict[str, Any]]) -> None:
    assert values(found["gradients-kept"]) == {"possible": False}
    assert found["gradients-kept"]["text"] == "nothing adds up here"


def test_a_crash_is_what_the_framework_says(found: dict[str, dict[str, Any]]) -> None:
    line = found["two-devices"]
    told = values(line)
    assert (told["raised"], told["error"], told["step"], told["names_it"]) == (True, "SIGABRT", 1, True)
    assert line["text"].endswith(" 1 fake/src/./a.cpp:1] Check failed: cpu cpu(1)")


def test_a_mistake_that_is_warned_of(found: dict[str, dict[str, Any]]) -> None:
    told = values(found["in-place"])
    assert (told["warned"], told["raised"], told["harmless"]) == (True, False, False)
    assert found["in-place"]["text"] == "UserWarning: it looks wrong"


def test_the_last_line_of_the_user_is_not_the_mistake(found: dict[str, dict[str, Any]]) -> None:
    told = values(found["broadcast"])
    assert (told["names_line"], told["shows_line"]) == (False, True)


def test_one_way_is_asked_once(found: dict[str, dict[str, Any]]) -> None:
    compiled = {cell: line for cell, line in found.items() if cell.endswith("-compiled")}
    assert {line["because"] for line in compiled.values()} == {"it has one way"}
    assert found["broadcast-loss"]["outcome"] == "failed"
