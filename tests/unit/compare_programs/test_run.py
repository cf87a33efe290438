"""compare/run.py, with a framework that is NumPy: answers, crashes, and what programs print."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.compare_programs.questions import answers, asked

QUESTION = """
import numpy as np
TITLE = "Does it count?"
CLAIM = "It counts."
KIND = "facts"
CELLS = {"sum": "a", "says": "b", "crashes": "c", "refused": "e", "raises": "f", "wrong": "g",
         "infinite": "h", "nowhere": "i", "other": "j", "last": "k"}
LIMIT = 50
APART = APART_OR_NOT


def measure(cell, function, task):
    found = function(task)
    assert found != "wrong", "it is wrong"
    if cell == "other":
        return {"values": {}, "program": "longer"}
    return {"values": {"found": found, "framework": task.framework}, "text": "a text"}
"""
FAKE = '''
"""A framework."""
import os
import sys
import time

CANNOT = {"refused": "it has no way to"}
NOTES = {"sum": "by NumPy"}
SCAFFOLD = ("given",)
counted = 0


def given():
    a = 1
    return a


def helper(values):
    """A docstring is no code."""

    # nor is a comment
    return values.sum()


def sum(task):
    global counted
    counted += 1
    import numpy as np
    return helper(np.arange(
        4,
    )) + given() * 0


def says(task):
    print("in Python")
    os.system("echo in a shell")
    os.write(1, b"in C\\n")
    return 0.5


def crashes(task):
    sys.stderr.write("it was the last\\n")
    os.kill(os.getpid(), 11)


def hangs(task):
    time.sleep(60)


def refused(task):
    raise RuntimeError("nobody asks")


def raises(task):
    raise KeyError("lost")


def wrong(task):
    return "wrong"


def infinite(task):
    return float("inf")


def other(task):
    return 1


def longer():
    a = 1
    b = 2
    return a + b


def last(task):
    return [counted, task.seed, task.threads, os.environ.get("OMP_NUM_THREADS"), task.settings.get("name")]
'''


@pytest.fixture(scope="module", params=["True", "False"], ids=["apart", "together"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("questions")
    (folder / "counting").mkdir()
    (folder / "counting/question.py").write_text(QUESTION.replace("APART_OR_NOT", request.param))
    (folder / "counting/fake.py").write_text(FAKE)
    return folder


def test_every_cell_is_answered_whatever_happens(folder: Path) -> None:
    lines = answers(folder, "counting", "fake")
    assert " ".join(lines) == "sum says crashes refused raises wrong infinite nowhere other last"
    outcomes = {cell: line["outcome"] for cell, line in lines.items()}
    assert [cell for cell, outcome in outcomes.items() if outcome == "done"] == ["sum", "says", "other", "last"]
    assert [cell for cell, outcome in outcomes.items() if outcome == "cannot"] == ["refused"]
    assert lines["refused"]["because"] == "it has no way to"
    assert lines["crashes"]["because"] == "its process ended: SIGSEGV"
    assert lines["crashes"]["text"].endswith("it was the last")
    assert lines["raises"]["because"] == "KeyError: 'lost'"
    assert "in raises" in lines["raises"]["text"]
    assert lines["wrong"]["because"] == "AssertionError: it is wrong"
    assert "inf" in lines["infinite"]["because"]
    assert lines["nowhere"]["because"] == "the framework's file has no function nowhere"
    assert {
        "schema",
        "question",
        "framework",
        "cell",
        "outcome",
        "because",
        "values",
        "text",
        "lines",
        "seconds",
    } == set(lines["sum"])


def test_answers_have_numbers_notes_and_lines_of_code(folder: Path) -> None:
    lines = answers(folder, "counting", "fake", "--cell", "sum", "--cell", "says", "--cell", "other")
    assert lines["sum"]["values"] == {"found": 6, "framework": "fake", "note": "by NumPy"}
    assert lines["sum"]["text"] == "a text"
    assert lines["sum"]["lines"] == 7 + 2 + 1  # its own, those of helper, and the global variable's
    assert lines["says"]["values"]["found"] == 0.5
    assert lines["says"]["lines"] == 5
    assert lines["other"]["lines"] == 4  # of the function that the question named


def test_standard_output_holds_answers_only(folder: Path) -> None:
    done = asked(folder, "counting", "fake", "--cell", "says")
    assert done.stdout.count("\n") == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("in ")] == [
        "in Python",
        "in a shell",
        "in C",
    ]


def test_seed_threads_and_settings_reach_the_program(folder: Path) -> None:
    more = ("--seed", "7", "--threads", "2", "--set", "name=value")
    line = answers(folder, "counting", "fake", "--cell", "sum", "--cell", "last", *more)["last"]
    apart = "APART = True" in (folder / "counting/question.py").read_text()
    assert line["values"]["found"] == [0 if apart else 1, 7, 2, "2", "value"]


def test_a_framework_may_ask_for_processes_of_its_own(folder: Path) -> None:
    (folder / "counting/alone.py").write_text(FAKE + "\nAPART = True\n")
    line = answers(folder, "counting", "alone", "--cell", "sum", "--cell", "last")["last"]
    assert line["values"]["found"][0] == 0


def test_wrong_usage(folder: Path) -> None:
    for arguments in (("counting", "nobody"), ("what", "fake"), ("counting", "fake", "--cell", "none")):
        done = asked(folder, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1


def test_a_file_that_cannot_be_loaded_fails_each_cell(folder: Path) -> None:
    (folder / "counting/broken.py").write_text("import nothing_of_this_name\n")
    lines = answers(folder, "counting", "broken", "--cell", "sum", "--cell", "last")
    assert {line["outcome"] for line in lines.values()} == {"failed"}
    assert "nothing_of_this_name" in lines["last"]["text"]


def test_a_question_may_judge_a_crash(folder: Path) -> None:
    judging = folder / "judging"
    judging.mkdir(exist_ok=True)
    judge = "def after_crash(cell, ending, lines):\n    return {'values': {'ending': ending, 'said': lines[-1]}}\n"
    (judging / "question.py").write_text((folder / "counting/question.py").read_text() + judge)
    (judging / "fake.py").write_text(FAKE)
    line = answers(folder, "judging", "fake", "--cell", "crashes")["crashes"]
    assert (line["outcome"], line["values"]) == ("done", {"ending": "SIGSEGV", "said": "it was the last"})
    assert line["lines"] == 3


def test_a_cell_that_hangs_is_ended(tmp_path: Path) -> None:
    (tmp_path / "hanging").mkdir()
    hanging = "CELLS = {'hangs': 'a'}\nLIMIT = 0.5\n\n\ndef measure(cell, function, task):\n    function(task)\n"
    (tmp_path / "hanging/question.py").write_text(hanging)
    (tmp_path / "hanging/fake.py").write_text(FAKE)
    line = answers(tmp_path, "hanging", "fake")["hangs"]
    assert (line["outcome"], line["because"]) == ("failed", "its process ended: no answer within 0.5 seconds")
