"""Counting by construction, with namespaces made for it, and through run.py with a framework made for it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.unit.compare_programs.questions import COMPARE, answers, load

counting = load(COMPARE / "modules" / "_counting.py")
pictures = load(COMPARE / "modules" / "_pictures.py")
Trial = counting.Trial


class Layer:
    """The base of the layers below."""


class Dense(Layer):
    def __init__(self, units: int, bias: bool = True) -> None:
        self.units = units

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x @ np.ones((4, self.units))


class Picky(Layer):
    def __init__(self, *, depth: int, rate: float) -> None:
        self.depth = depth


NAMESPACE = SimpleNamespace(Dense=Dense, FullyConnected=Dense, Picky=Picky, Layer=Layer, _Hidden=Picky, function=abs)


def counted(*trials: Any, each: float = 1, whole: float = 5, apart: bool = False) -> dict[str, Any]:
    return counting.counted(trials, each, whole, apart)


def test_a_class_counts_once_and_by_its_own_name() -> None:
    assert counting.public(NAMESPACE, Layer) == [("Dense", Dense), ("Picky", Picky)]


def test_an_alias_alone_is_a_name_too() -> None:
    assert counting.public(SimpleNamespace(FullyConnected=Dense), Layer) == [("FullyConnected", Dense)]


def test_arguments_are_given_by_name_and_only_where_they_must_be() -> None:
    assert counting.built(Dense, {"units": 3, "bias": False}).units == 3
    assert counting.built(Picky, {"depth": lambda: 7, "rate": 0.5}).depth == 7
    with pytest.raises(TypeError, match="rate"):
        counting.built(Picky, {"depth": 7})


def test_what_runs_counts_and_the_rest_has_its_reason() -> None:
    def wrong() -> Any:
        raise ValueError("of two lines\nof which the first is told")

    found = counted(
        Trial("good", lambda: np.ones(3)),
        Trial("nested", lambda: {"a": [1.0, (2.0, np.int64(3))]}),
        Trial("wrong", wrong),
        Trial("infinite", lambda: [1.0, float("inf")]),
        Trial("empty", list),
        Trial("words", lambda: ["a", np.array(["b"])]),
    )
    assert found == {
        "found": 6,
        "ran": 2,
        "names": ["good", "nested"],
        "did_not_run": [
            "wrong: ValueError: of two lines",
            "infinite: what came out is not finite",
            "empty: nothing came out",
            "words: nothing came out",
        ],
    }


def busy() -> Any:
    """Computes for ever, and catches what it can."""
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue


def test_what_computes_too_long_is_ended_and_the_next_has_its_turn() -> None:
    found = counted(Trial("busy", busy), Trial("good", lambda: 1.0), each=0.1)
    assert found["names"] == ["good"]
    assert found["did_not_run"] == ["busy: it took more than 0.1 seconds"]


def test_when_the_time_of_all_is_over_the_rest_says_so() -> None:
    found = counted(Trial("busy", busy), Trial("late", lambda: 1.0), each=0.1, whole=0.05)
    assert found["ran"] == 0
    assert found["did_not_run"][1] == "late: the 0.05 seconds were over"


def test_a_process_that_ends_is_an_answer_of_trials_that_run_apart() -> None:
    import os

    def ends() -> Any:
        os.write(
            2, b"F1127 10:00:00.000000  42 layer.cpp:12] Check failed: bottom.size() == 2\n*** Check failure ***\n"
        )
        os.abort()

    found = counted(
        Trial("ends", ends), Trial("good", lambda: np.ones(2)), Trial("raises", lambda: 1 / 0), apart=True
    )
    assert found["names"] == ["good"]
    assert found["did_not_run"] == [
        "ends: it ended the process: Check failed: bottom.size() == 2",
        "raises: ZeroDivisionError: division by zero",
    ]


def test_the_first_that_gives_numbers_is_taken() -> None:
    tried: list[int] = []

    def attempt(number: int) -> Any:
        tried.append(number)
        if number == 0:
            raise ValueError("not this one")
        return np.array([np.nan if number == 1 else number])

    assert counting.first(lambda number=number: attempt(number) for number in range(4)) == np.array([2])
    assert tried == [0, 1, 2]


def test_if_none_gives_numbers_the_first_error_is_told() -> None:
    with pytest.raises(ZeroDivisionError):
        counting.first([lambda: 1 / 0, lambda: {}[0]])
    with pytest.raises(ValueError, match="finite"):
        counting.first([lambda: np.nan])


@pytest.mark.parametrize("losses", [[1.0, 1.0], [1.0, 2.0], [1.0, float("nan")]])
def test_a_loss_that_does_not_go_down(losses: list[float]) -> None:
    with pytest.raises(ArithmeticError, match="the loss went from 1"):
        counting.lowered(losses)


def test_a_loss_that_goes_down() -> None:
    assert counting.lowered([2.0, 3.0, 1.0]) == [2.0, 3.0, 1.0]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SECONDS", 0.001)


def own(**more: Any) -> Any:
    named = {**pictures.EXPECTED, **more}
    return pictures.Transforms(lambda images: images, lambda images: images, {k: v for k, v in named.items() if v})


def test_transforms_that_are_numpys(quick: None) -> None:
    values = pictures.measured(own())
    assert values["equal"] == ["resize", "crop", "flip", "normalize"]
    assert values["unequal"] == values["lacks"] == []
    assert values["crop_per_second"] > 0
    assert values["resize_difference"] < 1e-6


def test_transforms_that_are_not(quick: None) -> None:
    values = pictures.measured(own(flip=lambda images: images, crop=lambda images: images, normalize=None))
    assert values["equal"] == ["resize"]
    assert values["lacks"] == ["normalize"]
    assert values["unequal"][0].startswith("crop: its shape is (16, 64, 64, 3)")
    assert "away from NumPy's" in values["unequal"][1]
    assert "flip_per_second" not in values


def test_the_resize_of_the_reference_is_bilinear() -> None:
    """A slope stays a slope, wherever a pixel has two neighbours."""
    slope = np.broadcast_to(np.arange(64.0)[None, None, :, None], (1, 64, 64, 3))
    found = pictures.EXPECTED["resize"](slope)[0, 0, :, 0]
    assert found == pytest.approx((np.arange(40) + 0.5) * 64 / 40 - 0.5)


def test_through_run_py(tmp_path: Path) -> None:
    """A framework made for it, asked as in an image."""
    folder = tmp_path / "modules"
    shutil.copytree(COMPARE / "modules", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "made.py").write_text(
        "from modules._counting import Trial\n"
        "CANNOT = {'models': 'it has none'}\n"
        "def layers(): yield Trial('one', lambda: 1.0); yield Trial('two', lambda: 1 / 0)\n"
        "def optimizers(): return []\n"
    )
    lines = answers(tmp_path, "modules", "made", *(f"--cell={name}" for name in ("layers", "optimizers", "models")))
    assert lines["layers"]["values"]["ran"] == 1
    assert lines["layers"]["values"]["did_not_run"] == ["two: ZeroDivisionError: division by zero"]
    assert lines["models"]["because"] == "it has none"
    assert lines["optimizers"]["outcome"] == "failed"
    assert "nothing was found" in lines["optimizers"]["because"]
