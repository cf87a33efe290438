from __future__ import annotations

import dataclasses
import io
import re

import pytest
from rich.console import Console

from assay import certificate, view
from assay.errors import BuildFailed, UsageError
from assay.images import Built
from assay.smoke import Outcome
from tests.unit.certificate import reports

BUILT = Built("k", None, "sha256:1", "sha256:2", (), (), 1_234_000_000, 4 * 10**9, 61.4, "now")


def shown(terminal: bool = False) -> str:
    """What a build of three images looks like."""
    target = io.StringIO()
    console = Console(file=target, force_terminal=terminal, width=100, soft_wrap=True, highlight=False)
    with view.BuildView(console) as watch:
        watch.phase("this build", "waiting for another build (in /x, process 7)")
        watch.phase("this build", "")
        watch.start("base/trixie")
        watch.phase("base/trixie", "bootstrapping")
        watch.step("base/trixie", "Unpacking  libc6\n[bold]")
        watch.done("base/trixie", BUILT, fresh=True)
        watch.done("cuda/1.0", BUILT, fresh=False)
        watch.failed("torchy", BuildFailed("torchy was not built: [red]E", "Mend it."))
        watch.failed("child", None)
    return target.getvalue()


def test_a_build_in_a_log_is_a_plain_line_per_event() -> None:
    assert shown().splitlines() == [
        "this build: waiting for another build (in /x, process 7)",
        "this build: waiting for another build (in /x, process 7) took 0 s",
        "base/trixie: building",
        "base/trixie: bootstrapping",
        "base/trixie: bootstrapping took 0 s",
        "base/trixie: built in 61 s, 1.23 GB compressed, 4.00 GB on disk",
        "cuda/1.0: up to date, 1.23 GB compressed, 4.00 GB on disk",
        "torchy: torchy was not built: [red]E",
        "child: not built: its parent was not",
    ]


def test_a_build_in_a_terminal_is_a_table() -> None:
    text = shown(terminal=True)
    assert "\x1b[" in text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "base/trixie: building" not in plain
    for name in ("base/trixie", "cuda/1.0", "torchy", "child"):
        assert name in plain
    assert text.rstrip().endswith("\x1b[?25h")  # the cursor is back


def test_the_cursor_comes_back_after_a_failure() -> None:
    target = io.StringIO()

    def fail() -> None:
        with view.BuildView(Console(file=target, force_terminal=True, width=80)) as watch:
            watch.start("x")
            raise UsageError("a", "b")

    with pytest.raises(UsageError):
        fail()
    assert target.getvalue().rstrip().endswith("\x1b[?25h")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (999_999, "1 MB"),
        (146_997_337, "147 MB"),
        (999_999_999, "1.00 GB"),
        (8_920_000_000, "8.92 GB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert view.size(count) == text


def test_an_error_is_two_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    view.show_error(BuildFailed("a " * 500 + "[bold]x[/]", "Do\nthat [y]."))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"error: {('a ' * 500)}[bold]x[/]\n  Do that [y].\n"


def outcome(broken: bool = False) -> Outcome:
    data = reports.whole()
    if broken:
        reports.metric(data, "P2.train.f32", "loss")["value"] = "1"
        reports.result(data, "P2.train.f32")["remedy"] = "Look [here]."
        reports.fault(data, "lr-1.001")["state"] = "pass"
        reports.result(data, "cost.main").update(state="error", reason="crashed\nlast output: x")
    report = reports.report(data)
    return Outcome("torchy", "cpu", 12.4, report, certificate.judge(report, reports.SUITE))


def test_the_results_of_an_image(capsys: pytest.CaptureFixture[str]) -> None:
    view.show_outcome(outcome())
    said = capsys.readouterr().out
    assert "\x1b" not in said
    lines = said.splitlines()
    assert lines[0].split() == ["torchy", "state", "seconds", "measured"]
    rows = {line.split()[0]: line for line in lines}
    assert re.search(r"P2\.train\.f32 +pass +[0-9.]+ +loss [0-9.e-]+ \(<= 1e-5\), grad", rows["P2.train.f32"])
    assert "not-run" in rows["P2.train.bf16"]
    assert "NumPy" in rows["P2.train.bf16"]  # why
    assert [line for line in lines if line.startswith("fault lr-1.001") and "caught" in line]
    assert re.fullmatch(r"torchy on cpu: E2, \d+ passed, \d+ not run, 5 faults caught, 12 s", lines[-1])


def test_what_failed_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    view.show_outcome(outcome(broken=True))
    said = capsys.readouterr().out
    assert re.search(r"P2\.train\.f32 +fail", said)  # whatever the report says of itself
    assert "  P2.train.f32: loss 1 is not <= 1e-5\n    Look [here].\n" in said
    assert "  cost.main: crashed\n" in said
    assert "  fault lr-1.001: was not caught by P2.train.f32\n" in said
    assert "MISSED" in said
    assert re.search(r"torchy on cpu: E0, \d+ passed, 3 problems, \d+ not run, 12 s", said)


def test_a_fault_that_only_says_that_it_was_caught_is_shown_as_missed(capsys: pytest.CaptureFixture[str]) -> None:
    data = reports.whole()
    reports.fault(data, "lr-1.001")["metrics"] = []
    report = reports.report(data)
    view.show_outcome(Outcome("x", "cpu", 1.0, report, certificate.judge(report, reports.SUITE)))
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fault lr-1.001")]
    assert "MISSED" in row


def test_an_image_without_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    view.show_outcome(Outcome("torchy", "gpu", error=UsageError("no [x] report", "Do [that].")))
    assert capsys.readouterr().out == "torchy  gpu  error: no [x] report\n  Do [that].\n"


def test_a_kept_certificate_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    view.show_outcome(dataclasses.replace(outcome(), kept_from="2026-01-01T00:00:00Z"))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("unchanged since 2026-01-01T00:00:00Z")


def test_a_quiet_run_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with view.SmokeView(quiet=True) as watch:
        watch.start("torchy")
        watch.done(outcome())
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_what_would_steer_the_terminal_is_taken_out() -> None:
    assert view.plain("\x1b[2J\x07wiped\u009b31m\nnext") == "[2Jwiped31m\nnext"


def test_what_a_certificate_says_is_text_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """In a table too: no markup, no link, no picture by its name, nothing that steers the terminal."""
    foreign = "[/x][bold]a[link=http://b]c :warning: \x1b[2J\u009b31m"
    shown = "[/x][bold]a[link=http://b]c :warning: [2J31m"
    view.out.print(view.table(("one",), [(foreign,)]))
    view.show_error(UsageError(foreign, foreign))
    said = capsys.readouterr()
    assert said.out.splitlines()[1].rstrip() == shown
    assert said.err == f"error: {shown}\n  {shown}\n"


def test_a_log_says_what_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    target = io.StringIO()
    monkeypatch.setattr(view, "err", Console(file=target, width=200))
    with view.SmokeView() as watch:
        watch.start("torchy")
        watch.done(outcome())
    assert target.getvalue() == "torchy: training\ntorchy: training took 0 s\n"
