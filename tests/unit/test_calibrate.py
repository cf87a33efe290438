from __future__ import annotations

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import certificate
from bench import calibrate
from bench.calibrate import Observed

RECORDED = Path(__file__).parent / "data/report/report.json"
GATES = {
    "f32": {"loss": "1e-5", "grad": "3e-5", "dW": "2e-5"},
    "tf32": {"loss": "1e-3", "grad": "8e-3", "dW": "1e-3"},
}
decimals = st.decimals(min_value=Decimal("1e-20"), max_value=Decimal("1e3"), allow_nan=False)


def observed(**values: str) -> Observed:
    found = Observed(results={"f32": 4})
    for name in calibrate.METRICS:
        found.values["f32", name] = [Decimal(values.get(name, "1e-6"))]
    return found


def rows(found: Observed, fewest: int = 4) -> dict[tuple[str, str], calibrate.Row]:
    return {(row.name, row.metric): row for row in calibrate.propose(GATES, found, fewest)}


@settings(deadline=None)
@given(decimals)
def test_rounding_up_gives_the_next_step(value: Decimal) -> None:
    up = calibrate.rounded_up(value)
    assert value <= up <= 2 * value
    assert calibrate.rounded_up(up) == up


@settings(deadline=None)
@given(decimals)
def test_what_is_written_is_the_same_number(value: Decimal) -> None:
    up = calibrate.rounded_up(value)
    assert Decimal(calibrate.written(up)) == up


@pytest.mark.parametrize(("value", "text"), [("0.00001", "1e-5"), ("0.0012", "1.2e-3"), ("20", "2e1")])
def test_gates_are_written_as_the_others_are(value: str, text: str) -> None:
    assert calibrate.written(Decimal(value)) == text


@pytest.mark.parametrize(
    ("largest", "proposed"),
    [
        ("1.3e-6", "8e-6"),  # 5.2e-6
        ("9.6e-7", "5e-6"),
        ("7.5e-6", "3e-5"),  # as it is
        ("1e-9", "3e-6"),  # ten times tighter, no more
        ("0", "3e-6"),
        ("4e-5", "6e-5"),  # twice as loose, no more
    ],
)
def test_the_rule(largest: str, proposed: str) -> None:
    row = rows(observed(grad=largest))["f32", "grad"]
    assert (row.proposed, row.problem) == (proposed, "")


def test_what_lies_far_beyond_the_gate_is_a_problem_and_moves_nothing() -> None:
    row = rows(observed(grad="7e-5"))["f32", "grad"]
    assert row.problem
    assert row.proposed == row.gate


def test_few_results_move_nothing() -> None:
    assert all(row.proposed == row.gate for row in rows(observed(), fewest=5).values())
    assert all(row.proposed == row.gate for (name, _), row in rows(observed()).items() if name == "tf32")


@pytest.fixture
def report() -> certificate.Report:
    return calibrate.read(RECORDED)


def test_a_recorded_report_is_observed(report: certificate.Report) -> None:
    found = calibrate.observe([("a", report), ("b", report)], ["f64", "f32", "tf32"])
    assert found.results["f32"] >= 2
    assert found.largest("tf32", "dW") is None
    assert 0 < (found.largest("f32", "dW") or 0) < Decimal("2e-5")
    assert len(found.faults) == 8
    assert not found.left_out


def edited(change: Any) -> certificate.Report:
    data = copy.deepcopy(json.loads(RECORDED.read_text()))
    change(next(one for one in data["results"] if one["id"] == "P2.train.f32"))
    return certificate.parse_report(json.dumps(data).encode())


def test_another_class_than_asked_for_is_left_out() -> None:
    found = calibrate.observe([("a", edited(lambda one: one.update(observed="tf32")))], ["f32"])
    assert "asked for f32, observed tf32" in found.left_out[0]


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "nonsense"])
def test_what_is_no_number_is_left_out(value: str) -> None:
    found = calibrate.observe([("a", edited(lambda one: one["metrics"][0].update(value=value)))], ["f32"])
    assert "not measured in full" in found.left_out[0]


def test_a_fault_that_would_get_through_is_named(report: certificate.Report) -> None:
    found = calibrate.observe([("a", report)], ["f32"])
    loose = {
        "f32": {"loss": "1e-3", "grad": "1e-3", "dW": "1e-3"},
    }
    assert list(calibrate.let_through(calibrate.propose(loose, found, 99), found)) == ["a: inputs-tf32"]
    assert list(calibrate.let_through(calibrate.propose({"f32": GATES["f32"]}, found, 99), found)) == []


# The command


@pytest.fixture
def gates(root: Path, tmp_path: Path) -> Path:
    path = tmp_path / "gates.json"
    path.write_text((root / "smoke/gates.json").read_text())
    return path


def test_the_table_and_nothing_written(gates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = gates.read_text()
    assert calibrate.main([str(RECORDED), "--gates", str(gates)]) == 0
    assert "gate/obs." in capsys.readouterr().out
    assert gates.read_text() == before


def test_writing_changes_the_gates_of_what_was_measured_and_nothing_else(gates: Path) -> None:
    before = gates.read_text()
    assert calibrate.main([str(RECORDED), "--gates", str(gates), "--write", "--fewest", "1"]) == 0
    one, other = json.loads(before), json.loads(gates.read_text())
    changed = {name for name, table in one["parity"].items() if table != other["parity"][name]}
    assert changed == {"f64", "f32"}
    del one["parity"], other["parity"]
    assert one == other
    assert len(before.splitlines()) == len(gates.read_text().splitlines())


def test_a_problem_writes_nothing(gates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tight = gates.read_text().replace('"loss": "1e-5"', '"loss": "1e-9"')
    gates.write_text(tight)
    assert calibrate.main([str(RECORDED), "--gates", str(gates), "--write", "--fewest", "1"]) == 1
    assert "PROBLEM f32 loss" in capsys.readouterr().out
    assert gates.read_text() == tight


@pytest.mark.parametrize("content", [None, "nonsense", "{}", '{"predicate": {}}'])
def test_a_file_that_will_not_do_is_two_lines(
    tmp_path: Path, gates: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    path = tmp_path / "certificate.json"
    if content is not None:
        path.write_text(content)
    assert calibrate.main([str(path), "--gates", str(gates)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
