"""Each question says what it asks, and each framework's file answers all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.compare_programs.questions import COMPARE, PROGRAMS, QUESTIONS, literals, load


def of(path: Path) -> str:
    return path.relative_to(COMPARE).as_posix()


@pytest.mark.parametrize("folder", QUESTIONS, ids=of)
def test_a_question_says_what_it_asks(folder: Path) -> None:
    told = literals(folder / "question.py")
    assert told["TITLE"].endswith("?")
    assert told["CLAIM"].endswith(".")
    assert told["KIND"] in {"facts", "timed"}
    assert told["CELLS"]
    assert all(title for title in told["CELLS"].values())


@pytest.mark.parametrize("file", PROGRAMS, ids=of)
def test_a_framework_has_a_function_or_a_reason_for_each_cell(file: Path) -> None:
    question, told = load(file.with_name("question.py")), literals(file)
    program = getattr(question, "program", lambda cell: cell.replace("-", "_").replace("/", "_"))
    refused = told.get("CANNOT", {})
    one_way = {cell for cell in question.CELLS if cell.endswith("-compiled")} if "ONE_WAY" in told else set()
    missing = {cell for cell in question.CELLS if program(cell) not in told} - set(refused) - one_way
    assert missing == set()
    assert set(refused) | set(told.get("NOTES", {})) <= set(question.CELLS)
    assert all(isinstance(reason, str) and reason for reason in refused.values())


@pytest.mark.parametrize("file", [*PROGRAMS, *COMPARE.rglob("*.py")], ids=of)
def test_no_file_is_long(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= (450 if file in PROGRAMS else 300)
