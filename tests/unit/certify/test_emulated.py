"""Images whose programs are only emulated here: they are looked at, and get no certificate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay import certify
from assay.catalog.built import tag
from assay.certify import Outcome
from assay.errors import CertificateFailed
from tests.unit.certify.made import DIGEST, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place(tmp_path)
    found.engine.names[tag("plain", "latest", "-arm64")] = DIGEST
    return found


def look(place: Place, *names: str) -> list[Outcome]:
    engine = place.engine
    return list(certify.emulated(place.catalog, engine, names, "-arm64", place.begun.append))  # type: ignore[arg-type]


def test_what_is_run_and_where(place: Place) -> None:
    (outcome,) = look(place, "plain")
    (request,) = place.engine.requests
    assert request.image == "assay-arm64/plain:latest"
    assert request.platform == place.catalog.platform.name
    assert request.command[-3:] == ("--only", "static", "imports")
    assert (outcome.image, outcome.error, outcome.path) == ("plain", None, None)
    assert not place.certificate("plain").exists()
    certify.require_sound([outcome])


def test_a_check_that_fails(place: Place) -> None:
    def fail(folder: Path) -> None:
        data = json.loads((folder / "report.json").read_text())
        next(one for one in data["results"] if one["id"] == "static.closure")["state"] = "fail"
        (folder / "report.json").write_text(json.dumps(data))

    place.engine.on_run["plain"] = fail  # type: ignore[assignment]
    outcomes = look(place, "plain")
    assert certify.failed(outcomes[0]) == ["static.closure"]
    with pytest.raises(CertificateFailed, match=r"^plain: not as it has to be\n"):
        certify.require_sound(outcomes)


def test_one_that_is_not_built_leaves_the_others_alone(place: Place) -> None:
    first, second = look(place, "torchy", "plain")
    assert first.error
    assert first.error.what.startswith("torchy is not built for linux/amd64")
    assert second.error is None
