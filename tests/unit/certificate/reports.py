"""Reports to judge: a recorded one, and whole ones that are written from a suite's own levels, whatever these are."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec

from assay import certificate
from assay.certificate import Report, Suite, Suites, Verdict
from assay.certificate.levels import Expected, ExpectedFault, Wanted
from assay.certificate.report import Plan

RECORDING = Path(__file__).parent.parent / "data/report"
REAL: dict[str, Any] = json.loads((RECORDING / "report.json").read_text())
SUITE = msgspec.json.decode((RECORDING / "suite.json").read_bytes(), type=Suite)
SUITES = Suites(SUITE)
IMAGE = {
    "name": "newcomer",
    "digest": "sha256:" + "d" * 64,
    "configDigest": "c",
    "diffIDs": ("a",),
    "platform": "linux/amd64",
    "inputs": {},
}
GPU = "NVIDIA H100 80GB HBM3, 9.0, 81559 MiB, GPU-1, 580.65.06"


def whole() -> dict[str, Any]:
    """The recorded report, to be changed."""
    return copy.deepcopy(REAL)


def report(data: Any) -> Report:
    return certificate.parse_report(json.dumps(data).encode())


def judged(data: dict[str, Any], suite: Suite = SUITE) -> Verdict:
    return certificate.judge(report(data), suite)


def result(data: dict[str, Any], identity: str) -> dict[str, Any]:
    return next(one for one in data["results"] if one["id"] == identity)


def metric(data: dict[str, Any], identity: str, name: str) -> dict[str, Any]:
    return next(one for one in result(data, identity)["metrics"] if one["name"] == name)


def fault(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in data["faults"] if one["id"] == name)


def a_plan(framework: str = "newcomer", device: str = "cpu", **other: Any) -> dict[str, Any]:
    """A plan that asks for all that there is of a framework, on CUDA."""
    backends = other.pop("backends", [])
    return {
        "schema": 1,
        "image": "newcomer",
        "device": device,
        "framework": {"name": framework, "module": framework, **({"backends": backends} if backends else {})},
        "workloads": ["digits", "sequence", "compile"],
        "labels": {"python": "3.13", "cuda": "13.2"},
        "packages": {framework: "1.0"},
        "seconds_per_check": 300,
        **other,
    }


def written(plan: dict[str, Any], suite: Suite = SUITE) -> dict[str, Any]:
    """A report in which all that the levels ask of a plan just holds: a new level or check is in it by itself."""
    asked = msgspec.convert(plan, type=Plan)
    held_to = suite.expansion(asked)
    assert held_to is not None
    gpu = asked.device == "gpu"
    return {
        "schema": 1,
        "suite": {"version": "1", "sha256": suite.digest_of(asked.framework.name)},
        "gates": {"sha256": suite.gates_digest},
        "reference": {"sha256": suite.reference},
        "image": asked.image,
        "plan": plan,
        "host": {"cpu": "x", "gpu": [GPU] if gpu else [], "driver": "580.65.06" if gpu else None},
        "stack": {"framework": f"{asked.framework.name} 1.0"},
        "results": [_result(one) for one in held_to.results()],
        "faults": [_fault(one) for one in held_to.faults()],
        "complete": True,
    }


def stated(data: dict[str, Any], suite: Suite = SUITE, **image: Any) -> dict[str, Any]:
    """The certificate of a report."""
    made = report(data)
    facts = {**IMAGE, "name": made.image, **image}
    verdict = certificate.judge(made, suite, derived="derived" in facts)
    return json.loads(json.dumps(certificate.statement(made, verdict, facts, "docker 28")))


def _result(one: Expected) -> dict[str, Any]:
    ran = one.not_run is None
    asked = ("a" * 64 if one.asked == "{sha256}" else one.asked) if ran else ""
    return {
        "id": one.id,
        "family": one.family,
        "state": "pass" if ran else "not-run",
        "reason": one.not_run or "",
        "remedy": "",
        "requested": asked,
        "observed": asked,
        "metrics": [_metric(name, each, held(each)) for name, each in one.metrics.items()],
        "seconds": "0.1",
        "switches": [],
    }


def _fault(one: ExpectedFault) -> dict[str, Any]:
    values = {name: beyond(each) if name == one.metric else held(each) for name, each in one.metrics.items()}
    metrics = [_metric(name, each, values[name]) for name, each in one.metrics.items()]
    return {"id": one.id, "check": one.check, "state": "fail", "metrics": metrics, "reason": "it is not there"}


def _metric(name: str, wanted: Wanted, value: str) -> dict[str, Any]:
    return {"name": name, "value": value, "gate": wanted.gate, "relation": wanted.relation}


def held(wanted: Wanted) -> str:
    """A value that holds, and can be."""
    if wanted.gate is None:
        return wanted.values.least
    return repr(float(wanted.gate) / 2) if wanted.relation == "<" else wanted.gate


def beyond(wanted: Wanted) -> str:
    """A value on the wrong side of the gate that can be all the same."""
    assert wanted.gate is not None
    gate = float(wanted.gate)
    if wanted.relation == ">=":
        return str(int(gate) - 1) if wanted.values.whole else repr(gate / 2)
    if wanted.relation == "<":
        return wanted.gate
    return str(int(gate) + 1) if wanted.values.whole else repr(gate * 2 or 0.5)
