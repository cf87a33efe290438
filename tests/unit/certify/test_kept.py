"""Certificates that are kept, and those that are made anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.engine import RunResult
from tests.unit.certificate import reports
from tests.unit.certify.made import Place, edited, ended


def test_an_old_certificate_does_not_outlive_a_crash(place: Place) -> None:
    place.smoke("plain")
    place.engine.on_run["plain"] = ended(exit_code=1)
    place.smoke("plain", again=True)
    assert not place.certificate("plain").exists()
    assert not (place.root / "build/reports/plain/cpu.json").exists()


def interrupted(folder: Path) -> RunResult:
    raise KeyboardInterrupt


def test_ctrl_c_leaves_what_there_was(place: Place) -> None:
    place.smoke("plain")
    report = place.root / "build/reports/plain/cpu.json"
    before = place.certificate("plain").read_bytes(), report.read_bytes()
    place.engine.on_run["plain"] = interrupted
    with pytest.raises(KeyboardInterrupt):
        place.smoke("plain", again=True)
    assert (place.certificate("plain").read_bytes(), report.read_bytes()) == before
    del place.engine.on_run["plain"]
    assert place.smoke("plain")["plain"].kept_from is not None


def test_an_unchanged_image_is_not_certified_twice(place: Place) -> None:
    created = json.loads(place.smoke("plain")["plain"].path.read_text())  # type: ignore[union-attr]
    outcome = place.smoke("plain")["plain"]
    assert len(place.engine.requests) == 1
    assert not place.begun, "nothing is trained, so nothing says so"
    assert outcome.passed
    assert outcome.kept_from == created["predicate"]["timeCreated"]
    assert place.smoke("plain", again=True)["plain"].kept_from is None
    assert len(place.engine.requests) == 2


def fail_a_metric(data: dict[str, Any]) -> None:
    reports.metric(data["predicate"], "P2.train.f32", "loss")["value"] = "1"


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "digest": lambda data: data["subject"][0]["digest"].update(sha256="e" * 64),
    "no subject": lambda data: data.update(subject=[]),
    "subject of another kind": lambda data: data.update(subject=3),
    "suite": lambda data: data["predicate"]["suite"]["digest"].update(sha256="e" * 64),
    "gates": lambda data: data["predicate"]["suite"]["gates"].update(sha256="e" * 64),
    "plan": lambda data: data["predicate"]["plan"].update(workloads=[]),
    "device": lambda data: data["predicate"]["plan"].update(device="gpu"),
    "schema": lambda data: data["predicate"].update(schema=2),
    "results": lambda data: data["predicate"].update(results=3),
    "fault": lambda data: data["predicate"]["faults"].pop(),
    "metric": fail_a_metric,
    "complete": lambda data: data["predicate"].update(complete=False),
    "predicate": lambda data: data.pop("predicate"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_certificate_that_does_not_fit_is_made_anew(place: Place, change: Callable[[dict[str, Any]], None]) -> None:
    place.smoke("plain")
    before = json.loads(place.certificate("plain").read_text())
    place.edit(change)
    assert place.smoke("plain")["plain"].kept_from is None
    after = json.loads(place.certificate("plain").read_text())
    assert len(place.engine.requests) == 2
    for data in (before, after):
        del data["predicate"]["timeCreated"]
    assert after == before


def test_a_certificate_that_claims_more_than_its_evidence_is_not_kept(place: Place) -> None:
    place.smoke("plain")
    place.edit(lambda data: data["predicate"].update(achieved="E4"))
    outcome = place.smoke("plain")["plain"]
    assert outcome.kept_from is None
    assert outcome.verdict is not None
    assert outcome.verdict.level == "E2"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_certificate_that_cannot_be_read_is_made_anew(place: Place, data: bytes) -> None:
    place.smoke("plain")
    place.certificate("plain").write_bytes(data)
    assert place.smoke("plain")["plain"].kept_from is None


def test_a_failed_run_is_not_kept(place: Place) -> None:
    place.engine.on_run["plain"] = edited(complete=False)
    place.smoke("plain")
    del place.engine.on_run["plain"]
    assert place.smoke("plain")["plain"].passed
    assert len(place.engine.requests) == 2
