"""What a smoke run shows of each image."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay import certificate, certify
from assay.certify import Outcome
from assay.cli.smoke import SmokeView, show_outcome
from assay.errors import UsageError
from tests.unit.certificate import reports
from tests.unit.cli.ran import Ran


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


def test_the_certificates_are_held_against_the_checkout(assay_: Callable[..., Ran]) -> None:
    ran = assay_("table", "--check")
    ran.refused(5, "3 images have no certificate that holds: plain tensory torchy", "assay table --write")
    assert [line.split()[:2] for line in ran.out.splitlines()[1:]] == [
        ["plain", "no"],
        ["tensory", "no"],
        ["torchy", "no"],
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_smoke(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, as_json: bool) -> None:
    seen: list[certify.Options] = []

    def run(cat: object, found: object, images: object, options: certify.Options, start: Any, done: Any) -> Any:
        seen.append(options)
        start("torchy")
        outcome = certify.Outcome("torchy", options.device, error=UsageError("torchy is not built", "Build it."))
        done(outcome)
        return [outcome]

    monkeypatch.setattr(certify, "certify", run)
    junit = tmp_path / "junit.xml"
    arguments = ["smoke", "torchy", "--device", "gpu", "--again", "--memory", "8g", "--junit", str(junit)]
    ran = assay_(*arguments, *(["--json"] if as_json else []))
    *progress, what, todo = ran.err.splitlines()
    assert progress == ([] if as_json else ["torchy: training", "torchy: training took 0 s"])
    Ran(ran.code, ran.out, f"{what}\n{todo}").refused(1, "torchy did not pass")
    assert seen == [certify.Options(device="gpu", again=True, memory_bytes=8 * 2**30)]
    assert b"torchy is not built" in junit.read_bytes()
    if as_json:
        assert json.loads(ran.out)[0]["error"] == "torchy is not built"
    else:
        assert ran.out.splitlines() == ["torchy  gpu  error: torchy is not built", "  Build it."]


@pytest.mark.parametrize(("text", "number"), [("512m", 2**29), ("8g", 2**33), ("8G", 2**33), ("1k", 1024), ("7", 7)])
def test_the_memory_of_a_smoke_run(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, text: str, number: int
) -> None:
    seen: list[int | None] = []
    monkeypatch.setattr(certify, "certify", lambda *a: seen.append(a[3].memory_bytes) or [])
    assert assay_("smoke", "--memory", text).code == 0
    assert seen == [number]


@pytest.mark.parametrize("text", ["", "g", "0", "0g", "-1g", "1.5g", "8gb", "8 g", "²g", "x", "9" * 400])
def test_no_memory(assay_: Callable[..., Ran], text: str) -> None:
    assay_("smoke", f"--memory={text}").refused(2, f"{text!r} is no size", "such as 8g")
