"""What a smoke run shows of each image."""

from __future__ import annotations

import dataclasses
import re

import pytest

from assay import certificate
from assay.certify import Outcome
from assay.cli.certify import SmokeView, show_outcome
from assay.errors import UsageError
from tests.unit.certificate import reports


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
    show_outcome(outcome())
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
    show_outcome(outcome(broken=True))
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
    show_outcome(Outcome("x", "cpu", 1.0, report, certificate.judge(report, reports.SUITE)))
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fault lr-1.001")]
    assert "MISSED" in row


def test_an_image_without_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    show_outcome(Outcome("torchy", "gpu", error=UsageError("no [x] report", "Do [that].")))
    assert capsys.readouterr().out == "torchy  gpu  error: no [x] report\n  Do [that].\n"


def test_a_kept_certificate_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_outcome(dataclasses.replace(outcome(), kept_from="2026-01-01T00:00:00Z"))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("unchanged since 2026-01-01T00:00:00Z")


def test_a_quiet_run_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with SmokeView(quiet=True) as watch:
        watch.start("torchy")
        watch.done(outcome())
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_a_log_says_what_trains(capsys: pytest.CaptureFixture[str]) -> None:
    with SmokeView() as watch:
        watch.start("torchy")
        watch.done(outcome())
    assert capsys.readouterr().err == "torchy: training\ntorchy: training took 0 s\n"
