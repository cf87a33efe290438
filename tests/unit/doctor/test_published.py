"""What is read out of certificates in a registry."""

from __future__ import annotations

from typing import Any

import pytest

from assay import doctor
from assay.doctor.published import published as ask
from assay.errors import RegistryFailed
from tests import published
from tests.fake_registry import FakeRegistry
from tests.unit.verify.known import mirror


def asked(fake: FakeRegistry, *, which: int = 1, **names: Any) -> doctor.Gathered:
    there = published.reference(fake.host, **names)
    return ask([there], published.key(which).public, published.suites())


def test_the_facts_of_an_image_in_a_registry(fake: FakeRegistry) -> None:
    made = published.fresh()
    published.put(fake.host, made)
    (facts,), unusable = asked(fake)
    assert not unusable
    assert (facts.image, facts.digest, facts.levels) == (published.name(), made.digest, {"cpu": "E2"})
    assert facts.reference == f"{fake.host}/team/{published.name()}@{made.digest}"


def test_a_mirror_under_another_name(fake: FakeRegistry) -> None:
    published.put(fake.host, published.fresh())
    there = mirror(fake)
    _, ((_, problem),) = ask([there], published.key().public, published.suites())
    assert f"--name {published.name()}" in problem
    (facts,), unusable = ask([there], published.key().public, published.suites(), name=published.name())
    assert not unusable
    assert facts.image == published.name()
    assert facts.reference.startswith(f"{fake.host}/{there.path}@sha256:")


def test_what_is_signed_with_another_key_says_nothing(fake: FakeRegistry) -> None:
    published.put(fake.host, published.fresh())
    images, ((name, problem),) = asked(fake, which=2)
    assert not images
    assert name == f"{fake.host}/team/{published.name()}:{published.TAG}"
    assert "signed with another key" in problem


def test_another_images_certificate_says_nothing(fake: FakeRegistry) -> None:
    published.put(fake.host, published.fresh(), *published.fresh((b"other",)).statements())
    images, ((_, problem),) = asked(fake)
    assert not images
    assert "about another image" in problem


def test_a_signed_certificate_is_typed_all_the_same(fake: FakeRegistry) -> None:
    made = published.fresh()
    made.certificate["predicate"]["stack"]["served"] = {"wholly": ["nine"]}
    published.put(fake.host, made)
    images, ((_, problem),) = asked(fake)
    assert not images
    assert "served.wholly" in problem


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda one: one["predicate"]["suite"]["digest"].update(sha256="0" * 64),
            "its suite (000000000000) is unknown",
        ),
        (
            lambda one: one["predicate"]["suite"]["gates"].update(sha256="0" * 64),
            "its gates (000000000000) is unknown",
        ),
        (lambda one: one["predicate"].update(timeCreated="2001-01-01T00:00:00Z"), "days old, and at most 365"),
        (lambda one: one["predicate"].update(timeCreated="2999-01-01T00:00:00Z"), "it was made in the future"),
        (lambda one: one["predicate"]["image"].update(configDigest="x"), "another image configuration"),
        (lambda one: one["predicate"]["image"].update(diffIDs=[]), "other layers"),
        (lambda one: one["predicate"]["plan"]["labels"].pop("cuda"), "promises cuda nothing"),
        (lambda one: one["subject"][0].update(name="another"), "it is about 'another'"),
        (
            lambda one: one["subject"][0].update(name="another") or one["predicate"]["plan"].update(image="another"),
            "the certificate is of another",
        ),
    ],
)
def test_it_is_as_strict_as_verification(fake: FakeRegistry, change: Any, said: str) -> None:
    made = published.fresh()
    change(made.certificate)
    published.put(fake.host, made, made.certificate)
    images, ((_, problem),) = asked(fake)
    assert not images
    assert said in problem


def test_a_registry_that_fails_or_has_no_such_image_is_exit_6(fake: FakeRegistry) -> None:
    with pytest.raises(RegistryFailed):
        asked(fake)
