"""What `assay compare` prints, and how it ends."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from assay import cli, engine
from assay.cli.compare import CompareView
from assay.host import load
from tests.unit.cli.ran import Ran
from tests.unit.compare import made


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compare")
    made.prepare(root)
    return root


class Found(made.Engine):
    """What `engine.find` gives."""

    def __enter__(self) -> Found:
        return self

    def __exit__(self, *_: object) -> None:
        return


@pytest.fixture
def compare_(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """The command, in a checkout with certified images and two questions."""
    root = tmp_path / "repo"
    shutil.copytree(prepared, root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(load, "busy", lambda seconds: load.Busy(0.0))
    monkeypatch.setattr(load, "usable", lambda: (0, 1, 5))
    found = Found(root)
    monkeypatch.setattr(engine, "find", lambda tell=None: found)

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr("sys.argv", ["assay", "compare", *arguments])
        code: object = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)  # type: ignore[arg-type]

    return run


def test_it_measures_and_shows_a_table_for_each_question(compare_: Callable[..., Ran]) -> None:
    ran = compare_()
    assert ran.code == 0, ran.err
    assert "Can it?" in ran.out
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["cell", "plain", "tensor", "torch"] in rows
    assert ["one", "done", "done", "done"] in rows
    (tuned,) = [row for row in rows if row and row[0] == "net/tuned"]
    assert tuned.count("=") == 3, "no difference is shown between equal ones"
    assert "PyTorch by PyTorch is 1.00 [" in ran.out
    assert "fast: block 15 of 15, 5 processes" in ran.err
    again = compare_()
    assert (again.code, again.out) == (0, ran.out)
    assert "all of it stands" in again.err


def test_for_programs(compare_: Callable[..., Ran]) -> None:
    found = json.loads(compare_("--json", "--question", "fast").out)
    assert [one["name"] for one in found["questions"]] == ["fast"]
    assert {one["framework"] for one in found["answers"]} == {"plain", "tensor", "torch"}
    one = next(one for one in found["answers"] if (one["framework"], one["cell"]) == ("tensor", "net/tuned"))
    (ratio,) = one["ratios"]
    assert ratio["verdict"] == "no difference shown"
    assert ratio["interval"]["low"] <= 1 <= ratio["interval"]["high"]
    assert len(ratio["points"]) == 15
    assert found["controls"][0]["passed"] is True
    assert found["problems"] == []


def test_check_measures_nothing_and_ends_with_5_where_something_is_wrong(
    compare_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare_()
    monkeypatch.setattr(engine, "find", None)
    assert compare_("--check").code == 0
    Path("compare/fast/plain.py").write_text("# changed")
    ran = compare_("--check")
    assert ran.code == 5
    assert "error: the comparison does not stand: fast.jsonl, line " in ran.err
    assert "its program has changed since" in ran.err
    assert "fast.jsonl, lines " in ran.out
    assert ", plain: its program has changed since" in ran.out
    assert compare_("--check", "--question", "can").code == 0
    told = json.loads(compare_("--check", "--json").out)["problems"]
    assert [(one["framework"], len(one["lines"])) for one in told] == [("plain", 30)]


def test_results_of_a_question_that_is_gone_are_named(compare_: Callable[..., Ran]) -> None:
    compare_()
    shutil.rmtree("compare/can")
    ran = compare_("--check")
    assert ran.code == 5
    assert "can.jsonl, line 1: there is no such question" in ran.err
    assert "can.jsonl, lines 1, 2, plain: there is no such question" in ran.out
    assert compare_("--check", "--question", "fast").code == 0


def test_results_may_lie_elsewhere(compare_: Callable[..., Ran], tmp_path: Path) -> None:
    out = str(tmp_path / "elsewhere")
    assert compare_("--out", out, "--question", "can", "torchy").code == 0
    assert len((tmp_path / "elsewhere/can.jsonl").read_text().splitlines()) == 2
    assert not Path("compare/results").exists()
    assert compare_("--out", out, "--question", "can", "--check").code == 5, "two frameworks are not measured"


def test_images_are_packed_when_all_is_measured(compare_: Callable[..., Ran]) -> None:
    assert compare_("--question", "can").code == 0
    assert engine.find().packed == []  # type: ignore[attr-defined]
    assert compare_("--question", "can", "--pack", "torchy").code == 0
    assert engine.find().packed == ["assay/torchy:latest", "assay/cuda/1.0:latest"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--question", "fest"], "Did you mean fast?"),
        (["torchi"], "Did you mean torchy?"),
        (["--set", "A b"], "'A b' is no name for a set"),
        (["--cpus", "lots"], "'lots' is no list of processors"),
        (["--cpus", "0-2"], "there are no processors 0-2"),
        (["--cpus", "0-99999999999"], "there are no processors"),
        (["--cpus", "5-1"], "there are no processors 5-1"),
        (["--memory", "lots"], "'lots' is no size"),
        (["--blocks", "0"], "Invalid value"),
        (["tensory", "--question", "fast"], "compares with torch"),
    ],
)
def test_a_wrong_command_line_is_2(compare_: Callable[..., Ran], arguments: list[str], words: str) -> None:
    compare_(*arguments).refused(2, words)


def test_a_checkout_without_questions_is_2(compare_: Callable[..., Ran]) -> None:
    shutil.rmtree("compare")
    compare_().refused(2, "compare/ has no questions")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("TITLE = ", "invalid syntax"),
        ('TITLE = "x"\nCLAIM = "y"\nKIND = "odd"\nCELLS = {"a": "b"}', "Invalid enum value 'odd'"),
        ('TITLE = "x"\nCLAIM = "y"\nKIND = "facts"\nCELLS = {}', "has no cells"),
        ('TITLE = "x"\nCLAIM = "y"\nKIND = "facts"\nCELLS = {n: n for n in "ab"}', "malformed"),
        ('TITLE = "x"\nCLAIM = "y"\nKIND = "facts"', "missing required field `cells`"),
    ],
)
def test_a_malformed_question_is_2(compare_: Callable[..., Ran], text: str, words: str) -> None:
    Path("compare/can/question.py").write_text(text)
    compare_().refused(2, "compare/can/question.py", words)


def test_a_framework_that_answers_nothing_is_1_and_the_others_are_kept(compare_: Callable[..., Ran]) -> None:
    found = engine.find()

    def fail(request: engine.RunRequest, file: Path) -> engine.RunResult | None:
        if "plain" not in request.image:
            return None
        file.write_text("")
        return engine.RunResult(1, False, False, "ImportError: no plain\n", 1.0)

    found.on_run = fail  # type: ignore[attr-defined]
    ran = compare_("--question", "can")
    assert ran.code == 1
    assert "error: plain answered nothing to can: exit code 1: ImportError: no plain" in ran.err
    assert len(Path("compare/results/can.jsonl").read_text().splitlines()) == 4


def test_a_bar_in_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    terminal = Console(stderr=True, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr("assay.cli.compare.standard_error", lambda: terminal)
    with CompareView() as view:
        view.begin(4)
        view.phase("fast", "block 1 of 1, [/x]\x1b")
        view.ran(3)
        view.ran(-1)
    said = capsys.readouterr().err
    assert "2/4" in said
    assert "fast: block 1 of 1, [/x]\\x1b" in said
