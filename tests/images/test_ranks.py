"""Two processes in each image train as one, without a network; or the image says why its framework cannot."""

from __future__ import annotations

import json

import pytest

from smoke.checks.ranks import FAULTS, IDS
from smoke.plan import of_ranks
from tests.images.conftest import Subject

pytestmark = pytest.mark.engine


def test_two_ranks_train_as_one(subject: Subject) -> None:
    assert subject.image.framework is not None
    name, backends = subject.image.framework.name, subject.image.framework.backends or ("",)
    ran = subject.run("smoke", "--only", "ranks", "--ranks", "2", "--json")
    report = json.loads(ran.output)
    found = {one["id"]: one for one in report["results"]}
    cannot = of_ranks(name, "CANNOT")
    for backend in backends:
        reason = cannot.get("ranks") or cannot.get(f"ranks.{backend}")
        for one in (f"{check}.{backend}".rstrip(".") for check in IDS):
            expected = ("not-run", reason) if reason else ("pass", "")
            assert (found[one]["state"], found[one]["reason"]) == expected, found[one]
        faults = {one["id"]: one["state"] for one in report["faults"]}
        for fault in FAULTS if not reason else ():
            assert faults[f"{fault}.{backend}".rstrip(".")] == "fail"
    assert ran.exit_code == 0
