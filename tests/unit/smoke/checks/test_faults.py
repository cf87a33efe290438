"""P4: faults put in on purpose, and checks that are blind to them."""

from __future__ import annotations

import pytest

from smoke import gates
from smoke.checks import device, faults
from smoke.frameworks import autograd
from tests.unit.smoke.checks.contexts import context


def test_all_faults_are_caught(tmp_path):
    *found, verdict = faults.run("main", context(tmp_path))
    assert {one.id: one.state for one in found} == dict.fromkeys([*faults.TRAININGS, "cpu-fallback"], "fail")
    assert verdict.state == "pass"


@pytest.mark.parametrize("blind", ["loss", "grad", "dW"])
def test_one_blind_metric_alone_lets_no_fault_through(tmp_path, blind):
    seeing = context(tmp_path)
    loosened = {**seeing.gates["parity"]["f32"], blind: "inf"}
    seeing.gates = {**seeing.gates, "parity": {**seeing.gates["parity"], "f32": loosened}}
    *_, verdict = faults.run("main", seeing)
    assert verdict.state == "pass"


def test_a_blind_check_is_found_out(tmp_path):
    blind = context(tmp_path)
    loosened = dict.fromkeys(("loss", "grad", "dW"), "1e9")
    blind.gates = {**blind.gates, "parity": {**blind.gates["parity"], "f32": loosened}}
    *found, verdict = faults.run("main", blind)
    assert {one.id for one in found if one.state == "pass"} == set(faults.TRAININGS)
    assert verdict.state == "fail"
    assert "lr-1.001" in verdict.reason


def test_a_framework_that_ignores_a_fault_is_found_out(tmp_path):
    deaf = context(tmp_path, train_parity=lambda problem, asked, _: autograd.train_parity(problem, asked, ""))
    *_, verdict = faults.run("main", deaf)
    assert verdict.reason == "let through: bias-gradient-dropped, inputs-tf32"


@pytest.mark.parametrize(
    ("declared", "evidence", "state"),
    [
        ("cpu", {"device": "cpu", "bytes": 0, "kernels": 0}, "pass"),
        ("cpu", {"device": "gpu", "bytes": 9, "kernels": 9}, "fail"),
        ("gpu", {"device": "gpu", "bytes": 9, "kernels": 9}, "pass"),
        ("gpu", {"device": "gpu", "bytes": 9, "kernels": 0}, "fail"),
        ("gpu", {"device": "gpu", "bytes": 0, "kernels": 9}, "fail"),
        ("gpu", {"device": "cpu", "bytes": 9, "kernels": 9}, "fail"),
    ],
)
def test_device_evidence(declared, evidence, state):
    assert device.judge(declared, evidence, gates.load()["device"]).state == state
