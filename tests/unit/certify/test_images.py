"""Each built image gets its certificate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay import catalog, certify
from assay.catalog import write_images
from assay.errors import CertificateFailed, UsageError
from tests.unit.certificate import reports
from tests.unit.certify.made import Place


def test_every_built_image_gets_its_certificate(place: Place) -> None:
    outcomes = place.smoke()
    assert list(outcomes) == place.begun == ["plain", "tensory", "torchy"]
    for name, outcome in outcomes.items():
        assert outcome.passed
        assert outcome.verdict is not None
        assert outcome.verdict.level == "E2"
        statement = json.loads(place.certificate(name).read_text())
        assert statement["subject"] == [{"name": name, "digest": {"sha256": "d" * 64}}]
        assert statement["predicate"]["plan"]["engine"] == "docker 28 (fake)"
        assert "images/base/trixie/packages.lock" in statement["predicate"]["image"]["inputs"]
        assert (place.root / f"build/reports/{name}/cpu.json").is_file()
        assert "last words" in (place.root / f"build/reports/{name}/cpu.log").read_text()
    certify.require_passed(outcomes.values())


def test_only_what_is_built_is_run_unless_it_is_named(place: Place) -> None:
    del place.built["torchy"]
    write_images(place.root, place.built)
    assert list(place.smoke()) == ["plain", "tensory"]
    error = place.smoke("torchy")["torchy"].error
    assert isinstance(error, UsageError)
    assert error.todo == "Run `assay build torchy` first."


def test_nothing_is_built(place: Place) -> None:
    write_images(place.root, {})
    with pytest.raises(UsageError, match="no image is built"):
        place.smoke()


def test_an_unknown_image(place: Place) -> None:
    with pytest.raises(UsageError, match="Did you mean torchy"):
        place.smoke("torch")


def test_a_failed_check_is_in_the_certificate(place: Place) -> None:
    def fail(folder: Path) -> None:
        data = json.loads((folder / "report.json").read_text())
        reports.metric(data, "P2.train.f32", "loss")["value"] = "1"
        (folder / "report.json").write_text(json.dumps(data))

    place.engine.on_run["plain"] = fail
    outcome = place.smoke("plain")["plain"]
    assert not outcome.passed
    assert json.loads(place.certificate("plain").read_text())["predicate"]["achieved"] == "E1"
    with pytest.raises(CertificateFailed):
        certify.require_passed([outcome])


def test_a_package_that_was_added_to_an_image_of_the_catalog_is_a_failure(place: Place) -> None:
    """The suite only counts it: it may be there in derived images, and only there."""

    def add(folder: Path) -> None:
        data = json.loads((folder / "report.json").read_text())
        data["stack"]["added"] = {"einops": "0.8.1"}
        reports.metric(data, "static.packages", "added")["value"] = "1"
        (folder / "report.json").write_text(json.dumps(data))

    place.engine.on_run["plain"] = add
    outcome = place.smoke("plain")["plain"]
    assert outcome.verdict is not None
    assert outcome.verdict.level == "E0"
    assert outcome.verdict.problems == (("static.packages", "installed, and not locked: einops 0.8.1"),)
    assert json.loads(place.certificate("plain").read_text())["predicate"]["achieved"] == "E0"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"digest": "sha256:other"}, "plain is not built"),
        ({"suite": "0" * 64}, "plain holds another smoke suite than this checkout"),
        ({"suite": None}, "plain holds another smoke suite"),
    ],
)
def test_an_image_that_is_not_what_it_should_be_is_not_run(place: Place, change: dict[str, Any], words: str) -> None:
    place.built["plain"] = msgspec.structs.replace(place.built["plain"], **change)
    write_images(place.root, place.built)
    error = place.smoke("plain")["plain"].error
    assert error is not None
    assert words in error.what
    assert place.engine.requests == []


def test_an_image_without_a_framework(place: Place) -> None:
    error = place.smoke("cuda/1.0")["cuda/1.0"].error
    assert error is not None
    assert "has no framework" in error.what


def test_a_gpu_not_asked_for_is_not_run(place: Place) -> None:
    place.smoke("plain")
    rows = json.loads(place.certificate("plain").read_text())["predicate"]["notRun"]
    assert {"level": "E3", "reason": "no GPU was asked for"} in rows


def test_packed_is_what_was_run_and_only_when_asked_for(place: Place) -> None:
    place.smoke("plain")
    assert place.engine.packed == []
    place.smoke("tensory", pack=True)
    assert place.engine.packed == ["assay/tensory:latest", "assay/cuda/1.0:latest"]


def test_what_two_images_share_stays_unpacked_until_both_were_run(place: Place) -> None:
    place.smoke("torchy", "plain", "tensory", pack=True)
    assert place.begun == ["plain", "tensory", "torchy"]  # those of one parent follow each other
    assert place.engine.held == ["assay/cuda/1.0:latest"]
    names = [name.removesuffix(":latest") for name in place.engine.packed]
    assert names == ["assay/plain", "assay/base/trixie", "assay/tensory", "assay/torchy", "assay/cuda/1.0"]


def test_ranks_are_asked_of_the_suite_by_its_plan_and_are_in_the_certificate(place: Place) -> None:
    told = "ranks 2, gloo, cpu, 1 host"
    outcome = place.smoke("plain", ranks=2)["plain"]
    assert outcome.passed
    assert outcome.verdict is not None
    assert outcome.verdict.marks == ("everyday", told)
    predicate = json.loads(place.certificate("plain").read_text())["predicate"]
    assert (predicate["plan"]["ranks"], predicate["marks"]) == (2, ["everyday", told])
    for options, runs in (({}, 1), ({"ranks": 2}, 1), ({"ranks": 4}, 2)):  # what shows more is kept
        place.smoke("plain", **options)
        assert len(place.engine.requests) == runs
    place.smoke("plain", again=True)
    assert "ranks" not in json.loads(place.certificate("plain").read_text())["predicate"]["plan"]


def test_ranks_that_were_asked_for_and_do_not_compute_as_one_are_a_failure(place: Place) -> None:
    """The level holds, but whoever asked for ranks is told, and the certificate is not kept for the next who asks."""

    def fail(folder: Path) -> None:
        data = json.loads((folder / "report.json").read_text())
        reports.metric(data, "ranks.same", "different")["value"] = "1"
        (folder / "report.json").write_text(json.dumps(data))

    place.engine.on_run["plain"] = fail
    outcome = place.smoke("plain", ranks=2)["plain"]
    assert outcome.verdict is not None
    assert (outcome.verdict.level, outcome.verdict.marks, outcome.passed) == ("E2", ("everyday",), False)
    assert "ranks.same" in dict(outcome.problems)
    with pytest.raises(CertificateFailed):
        certify.require_passed([outcome])
    assert not place.smoke("plain", ranks=2)["plain"].passed
    assert place.smoke("plain")["plain"].passed
    assert len(place.engine.requests) == 2


def test_the_plan(place: Place) -> None:
    image = place.catalog.get("torchy")
    plan = catalog.plan(image, "gpu")
    assert plan == {
        "schema": 1,
        "image": "torchy",
        "device": "gpu",
        "framework": {"name": "torch", "module": "torch"},
        "workloads": ["digits"],
        "labels": {"python": "3.13", "cuda": "1.0"},
        "packages": {"cuda-lib": "1.0", "torch": "2.0", "assay-environment": "1"},
        "seconds_per_check": 300,
    }
    assert json.loads(catalog.plan_text(image)) == {**plan, "device": "cpu"}
    with pytest.raises(UsageError):
        catalog.plan(place.catalog.get("cuda/1.0"))
