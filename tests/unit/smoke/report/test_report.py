from __future__ import annotations

import dataclasses
import errno
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoke import SUITE, suite
from smoke.report import report, result, table
from smoke.report.report import Report
from smoke.report.result import Fault, Result, judged, metric, not_run

GOOD = metric("dW", 5.5e-7, "2e-5")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("gate", [None, "1"])
@pytest.mark.parametrize("relation", result.RELATIONS)
def test_what_is_not_a_finite_number_never_passes(value, gate, relation):
    assert judged("a", "b", [metric("x", value, gate, relation)]).state == "fail"


@pytest.mark.parametrize(
    ("value", "relation", "holds"),
    [(1, "<=", True), (2, "<=", False), (1, "<", False), (1, ">=", True), (0, ">=", False), (1, "==", True)],
)
def test_gates(value, relation, holds):
    assert metric("x", value, "1", relation).holds() is holds


def test_an_unknown_relation_is_refused():
    with pytest.raises(ValueError, match="relation"):
        metric("x", 1, "1", "<>")


def test_nothing_measured_is_not_a_pass():
    assert judged("a", "b", []).state == "fail"


def test_another_class_than_asked_for_is_a_failure_that_names_both():
    result = judged("P1", "precision", [GOOD], "f32", "tf32", "look")
    assert (result.state, result.reason, result.remedy) == ("fail", "asked for f32, observed tf32", "look")


def test_a_pass_has_neither_reason_nor_remedy():
    result = judged("P2", "parity", [GOOD], "f32", "f32", "look")
    assert (result.state, result.reason, result.remedy) == ("pass", "", "")


def test_not_run_needs_a_reason():
    assert not_run("a", "b", "no GPU").state == "not-run"
    with pytest.raises(ValueError, match="reason"):
        not_run("a", "b", "")


@settings(deadline=None)
@given(st.floats(allow_nan=False))
def test_decimals_read_back_as_the_same_number(value):
    assert float(result.decimal(value)) == value


@settings(deadline=None)
@given(st.integers())
def test_whole_numbers_stay_whole(value):
    assert result.decimal(value) == str(value)


def test_results_and_faults_survive_json():
    judgement = judged("P2", "parity", [GOOD, metric("loss", 0.5)], "f32", "f32")
    fault = Fault("lr", "P2", "fail", (GOOD,), "why")
    assert result.result_from(json.loads(json.dumps(dataclasses.asdict(judgement)))) == judgement
    assert result.fault_from(json.loads(json.dumps(dataclasses.asdict(fault)))) == fault


def test_a_report_replaces_the_old_one_whole(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    report.write(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["report.json"]


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        report.write(path, {"a": math.nan})
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EROFS, errno.EACCES])
def test_a_mounted_file_is_written_in_place(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(report, "_replace", refuse)
    path = tmp_path / "report.json"
    with pytest.raises(OSError, match="no"):
        report.write(path, {"a": 1})
    path.write_text("")
    report.write(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_full_disk_is_not_mistaken_for_a_mounted_file(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(report, "_replace", refuse)
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(OSError, match="full"):
        report.write(path, {"a": 1})
    assert path.read_text() == "old"


def _report(results=(), faults=(), complete=True):
    plan = {"device": "cpu", "framework": {"name": "torch"}}
    return Report("pytorch", plan, {}, {"framework": "torch 2"}, tuple(results), tuple(faults), complete)


def test_what_counts_as_bad():
    states = [Result(state, "x", state, "why") for state in result.STATES]
    faults = [Fault("f-" + state, "x", state) for state in ("pass", "fail", "error")]
    assert _report(states, faults).bad() == ["fail", "error", "f-pass", "f-error"]


def test_the_table_shows_reason_remedy_and_a_missed_fault():
    results = [
        judged("P2.train.f32", "parity", [metric("dW", 1, "2e-5")], remedy="compare"),
        not_run("P2.train.bf16", "parity", "no GPU"),
        Result("cost", "cost", "error", "killed\nlast output: x"),
    ]
    shown = table.table(_report(results, [Fault("lr", "P2", "pass", (GOOD,))], complete=False))
    for text in ("FAIL", "dW 1 (<= 2e-5)", "-> compare", "no GPU", "P2.train.bf16", "ERROR", "last output: x"):
        assert text in shown
    assert "MISSED" in shown
    assert "0 of 1 faults caught; only a part was asked for" in shown


def test_the_table_says_on_which_image_it_stands_and_what_was_added():
    one = _report([judged("a", "b", [GOOD])])
    assert "stands on" not in table.table(one)
    assert "stands on" not in table.table(dataclasses.replace(one, stack={"added": {}}))
    several = {"einops": "0.8.1", "mine": "1, in /home/assay/overlay"}
    shown = table.table(dataclasses.replace(one, stack={"added": several}))
    assert "  it stands on pytorch, and adds 2 packages: einops 0.8.1; mine 1, in /home/assay/overlay\n" in shown


def test_the_report_has_its_schema_and_digests():
    data = _report([judged("a", "b", [GOOD])]).as_json("1")
    assert data["schema"] == 1
    assert data["suite"] == {"version": "1", "sha256": suite.digest(SUITE, "torch")}
    assert len(data["gates"]["sha256"]) == len(data["reference"]["sha256"]) == 64
    assert data["gates"] != data["reference"]
    assert json.loads(json.dumps(data))["results"][0]["metrics"] == [
        {"name": "dW", "value": "5.5e-07", "gate": "2e-5", "relation": "<="}
    ]
