"""Which images may be published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay import catalog, publish
from assay.catalog import write_images
from assay.certificate import Suites
from assay.errors import UsageError
from tests.published import Image, name
from tests.unit.publish.known import certify, chosen, images_of, refused, suite_of_it


def test_a_certified_image_may(checkout: Path, made: Image) -> None:
    (good,), bad = chosen(checkout)
    assert not bad
    publish.require_none_refused(bad)
    version = catalog.framework_version(good.image)
    assert version
    assert good.tags[0].startswith(f"{version.partition('+')[0]}-c")
    assert good.tags[1:] == ("latest",)
    assert [one.certificate.device for one in good.proofs] == ["cpu"]


def test_one_without_a_certificate_may_not(checkout: Path) -> None:
    (checkout / "build/certificates" / name() / "cpu.json").unlink()
    assert "has no certificate" in refused(checkout)


def test_one_that_is_not_built_may_not(checkout: Path) -> None:
    write_images(checkout, {})
    assert "is not built" in refused(checkout)
    with pytest.raises(UsageError, match="no image is built"):
        publish.candidates(images_of(checkout), Suites(suite_of_it()), [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one["subject"][0]["digest"].update(sha256="0" * 64), "another image"),
        (lambda one: one["predicate"]["results"].pop(), "does not hold"),
        (lambda one: one["predicate"]["faults"].pop(), "does not hold"),
        (lambda one: one["predicate"]["image"].update(diffIDs=[]), "other layers"),
        (lambda one: one["predicate"]["image"].update(configDigest=""), "another image configuration"),
        (lambda one: one["predicate"]["image"]["inputs"].popitem(), "other inputs"),
        (lambda one: one["predicate"]["plan"].update(workloads=[]), "another plan"),
        (lambda one: one["predicate"]["plan"].update(device="gpu"), "another plan"),
        (lambda one: one["predicate"].update(schema=7), "schema 7"),
    ],
)
def test_a_certificate_that_does_not_hold(checkout: Path, made: Image, change: Any, said: str) -> None:
    change(made.certificate)
    certify(checkout, made.certificate)
    assert said in refused(checkout)


def test_a_certificate_that_cannot_be_read(checkout: Path) -> None:
    certify(checkout, "{")
    assert "cannot be read" in refused(checkout)


def test_a_certificate_of_another_suite(checkout: Path) -> None:
    later = msgspec.structs.replace(suite_of_it(), digests={})
    assert "is unknown to this Assay" in refused(checkout, Suites(later))
    assert "it is of an earlier suite than this checkout's" in refused(checkout, Suites(later, (suite_of_it(),)))


def test_one_bad_certificate_of_two_is_enough(checkout: Path, made: Image) -> None:
    certify(checkout, made.certificate, "gpu")
    assert "another plan" in refused(checkout)
