"""Outcomes for programs: JSON rows and JUnit XML."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from assay import certificate, certify
from assay.certify import Outcome
from tests.unit.certificate import reports
from tests.unit.certify.made import Place, edited, ended


def bad(place: Place) -> list[Outcome]:
    place.engine.on_run["plain"] = ended(exit_code=1)
    place.engine.on_run["tensory"] = edited(faults=[])

    def fail(folder: Path) -> None:
        data = json.loads((folder / "report.json").read_text())
        reports.result(data, "cost.main").update(state="error", reason="it broke \x00\x1b[1m\ufffe <&>")
        reports.metric(data, "P2.train.f32", "loss")["value"] = "1"
        (folder / "report.json").write_text(json.dumps(data))

    place.engine.on_run["torchy"] = fail
    return list(place.smoke().values())


def test_junit(place: Place) -> None:
    top = ElementTree.fromstring(certify.junit(bad(place)))
    plain, tensory, torchy = top
    assert [suite.get("name") for suite in top] == ["plain.cpu", "tensory.cpu", "torchy.cpu"]
    for suite in top:
        assert suite.get("tests") == str(len(list(suite)))
        for tagged, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert suite.get(plural) == str(len(suite.findall(f"testcase/{tagged}")))
    assert plain.get("errors") == "1"
    assert "crashed with exit code 1" in plain[0][0].get("message", "")
    names = [case.get("name") for case in tensory]
    assert {"fault lr-1.001", "P2.train.f32"} <= set(names)
    faults = [one for one in place.known.levels.faults if one.needs != "ranks"]
    assert tensory.get("failures") == str(len(faults))
    assert int(tensory.get("skipped", "0")) > 0
    assert (torchy.get("errors"), torchy.get("failures")) == ("1", "1")
    assert torchy.find("testcase/error").get("message") == r"it broke \x00\x1b[1m\ufffe <&>"  # type: ignore[union-attr]


@given(st.text(), st.text(max_size=64))
def test_junit_of_any_text_is_xml(text: str, seconds: str) -> None:
    data = copy.deepcopy(reports.whole())
    data["results"][0].update(reason=text, id=text, seconds=seconds, state="error")
    report = reports.report(data)
    verdict = certificate.judge(report, reports.SUITE)
    ElementTree.fromstring(certify.junit([Outcome("x", "cpu", report=report, verdict=verdict)]))


def test_rows(place: Place) -> None:
    rows = json.loads(json.dumps([certify.row(outcome) for outcome in bad(place)]))
    plain, tensory, torchy = rows
    assert plain == {
        "image": "plain",
        "device": "cpu",
        "passed": False,
        "level": None,
        "marks": [],
        "seconds": 0.0,
        "certificate": None,
        "unchanged_since": None,
        "problems": [],
        "error": "plain: the suite crashed with exit code 1: last words",
    }
    assert tensory["level"] == "E0"
    assert {row["id"] for row in torchy["problems"]} == {"cost.main", "P2.train.f32"}
    assert torchy["certificate"].endswith("build/certificates/torchy/cpu.json")
