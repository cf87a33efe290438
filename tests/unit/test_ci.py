"""What CI builds, and what it says that it rests on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from assay import certify
from assay.certify import Standing, records, table
from assay.errors import UsageError, VerificationFailed
from bench import ci
from tests.conftest import ROOT
from tests.unit.certify.made import Place


@pytest.fixture
def found(tmp_path: Path) -> list[Standing]:
    """Three images whose certificates hold, and which take 3, 10 and 20 minutes."""
    place = Place(tmp_path)
    place.smoke()
    table.keep(place.root)
    minutes = {"plain": 3.0, "tensory": 10.0, "torchy": 20.0}
    return [
        dataclasses.replace(one, image=dataclasses.replace(one.image, minutes=minutes[one.image.name]))
        for one in certify.standings(place.catalog)
    ]


def without(found: list[Standing], *names: str) -> list[Standing]:
    return [dataclasses.replace(one, problem="it has none") if one.image.name in names else one for one in found]


def test_one_or_two_that_lack_a_certificate_are_built(
    found: list[Standing], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ci.lacking(found) == []
    assert ci.lacking(without(found, "torchy", "plain")) == ["plain", "torchy"]
    assert "plain's certificate does not hold: it has none" in capsys.readouterr().err


def test_more_than_two_are_refused_by_name(found: list[Standing]) -> None:
    with pytest.raises(
        VerificationFailed, match="3 images have no certificate that holds: plain tensory torchy"
    ) as told:
        ci.lacking(without(found, "plain", "tensory", "torchy"))
    assert 'make build-all smoke IMAGES="plain tensory torchy"' in told.value.todo


def test_it_is_the_turn_of_each_that_can_be_built_in_time(found: list[Standing]) -> None:
    assert [ci.turn(found, "other", commits) for commits in range(4)] == ["plain", "tensory", "plain", "tensory"]
    assert {ci.turn(found, "plain", commits) for commits in range(4)} == {"tensory"}  # the other is started afresh
    assert {ci.turn(without(found, "tensory"), "other", commits) for commits in range(4)} == {
        "plain"
    }  # that is built anyway
    assert ci.turn(without(found, "tensory"), "plain", 0) is None


def test_no_image_says_how_long_it_takes(found: list[Standing]) -> None:
    unsaid = [dataclasses.replace(one, image=dataclasses.replace(one.image, minutes=None)) for one in found]
    with pytest.raises(UsageError, match="no image says how long its build takes"):
        ci.turn(unsaid, "plain", 0)
    one = [unsaid[0], found[1], *unsaid[2:]]
    assert ci.turn(one, "plain", 7) == "tensory"


def test_what_each_image_rests_on_is_said(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.smoke()
    table.keep(place.root)
    (place.root / "tests/images").mkdir(parents=True)
    (place.root / "tests/images/test_one.py").write_text("one")
    digest = place.built["plain"].digest
    records.mark(place.root, "tensory", digest, 41, {})
    records.keep(place.catalog, set())
    records.unmark(place.root, "tensory")
    for name in ("tensory", "torchy"):
        place.certificate(name).unlink()
    (place.root / "certificates/torchy/cpu.json").unlink()
    records.mark(place.root, "plain", digest, 40, {"test_x": "no terminal"})
    found = certify.standings(place.catalog)
    today = found[0].date
    assert ci.account(place.catalog, found) == [
        f"plain: certified here; tests/images: 40 passed, 1 not run, {today}",
        f"tensory: rests on its certificate of {today}; tests/images: 41 passed, {today}",
        "torchy: rests on nothing: it has none; tests/images: not on record",
        "tests/images ran on 1 of 3",
    ]


def test_the_script_is_bash() -> None:
    text = (ROOT / ".ci/run").read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
