"""What certificates and statements must say, and what they say in vain."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import attestation, certificate, verify
from assay.certificate import Configuration, Suites
from assay.errors import VerificationFailed
from assay.verify import Demands
from tests.fake_registry import FakeRegistry
from tests.published import NOW, image, key, put, reference, suite, suites
from tests.unit.verify.known import JSON, ask, edited, paths_in, problems, replaced


def test_a_suite_that_was_released_is_known_and_no_other(fake: FakeRegistry) -> None:
    """A check that was added since changes the suite, and no certificate that was published."""
    put(fake.host, image())
    later = msgspec.structs.replace(suite(), digests={}, gates_digest="0" * 64, gates={})
    for known, holds in ((Suites(later), False), (Suites(later, (suite(),)), True)):
        assert verify.verify(reference(fake.host), key().public, known, Demands(), NOW).passed is holds


def test_the_newest_certificate_of_a_device_counts(fake: FakeRegistry) -> None:
    made = image()
    older = copy.deepcopy(made.certificate)
    older["predicate"]["timeCreated"] = "2026-01-01T00:00:00Z"
    older["predicate"]["results"] = []
    put(fake.host, made, older, *made.statements())
    assert ask(fake).passed


def test_more_is_required_than_was_shown(fake: FakeRegistry) -> None:
    put(fake.host, image())
    assert "amounts to E2, and E3 is required" in problems(fake, require="E3")


@pytest.mark.parametrize("absent", verify.NEEDED)
def test_one_statement_is_missing(fake: FakeRegistry, absent: str) -> None:
    made = image()
    put(fake.host, made, *(one for one in made.statements() if one["predicateType"] != absent))
    assert f"no signed statement of the type {absent}" in problems(fake)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one["predicate"]["results"].pop(), "certificate (cpu)"),
        (lambda one: one["predicate"]["faults"].pop(), "was not put in"),
        (lambda one: one["predicate"].update(complete=False), "only a part"),
        (lambda one: one["predicate"]["suite"]["digest"].update(sha256="0" * 64), "its suite (0000"),
        (lambda one: one["predicate"]["suite"]["gates"].update(sha256="0" * 64), "its gates (0000"),
        (lambda one: one["predicate"]["image"].update(configDigest="x"), "another image configuration"),
        (lambda one: one["predicate"]["image"].update(diffIDs=[]), "other layers (DiffIDs)"),
        (lambda one: one["predicate"]["image"].update(platform="linux/arm64"), "it is of linux/arm64"),
        (lambda one: one["predicate"].update(timeCreated="2025-11-22T17:00:00Z"), "373 days old"),
        (lambda one: one["predicate"].update(timeCreated="2027-01-01T00:00:00Z"), "made in the future"),
        (lambda one: one["predicate"].update(timeCreated="2026-01-01T00:00:00"), "when it was made"),
        (lambda one: one["predicate"].update(timeCreated=None), "malformed"),
        (lambda one: one["predicate"].update(schema=2), "schema 2"),
        (lambda one: one["predicate"].update(image=None), "malformed"),
    ],
)  # fmt: skip
def test_a_signed_certificate_that_does_not_hold(fake: FakeRegistry, change: Any, said: str) -> None:
    made = image()
    statements = made.statements()
    change(made.certificate)
    put(fake.host, made, made.certificate, *statements[1:])
    assert said in problems(fake)


def test_what_a_certificate_says_of_itself_counts_for_nothing(fake: FakeRegistry) -> None:
    put(fake.host, edited(lambda one: one["predicate"].update(achieved="E1")))
    assert ask(fake).level == "E2"
    assert "E3 is required" in problems(fake, require="E3")


def test_who_claims_more_than_there_is_holds_nothing(fake: FakeRegistry) -> None:
    put(fake.host, edited(lambda one: one["predicate"].update(achieved="E4")))
    assert "it claims E4, and its evidence amounts to E2" in problems(fake)
    assert ask(fake).level == "E0"


def test_any_age_where_that_is_asked_for(fake: FakeRegistry) -> None:
    put(fake.host, edited(lambda one: one["predicate"].update(timeCreated="2020-01-01T00:00:00Z")))
    assert ask(fake, max_age_days=None).passed


@pytest.mark.parametrize(
    ("kind", "predicate", "said"),
    [
        *((kind, {}, f"the signed statement of the type {kind} has no") for kind in verify.NEEDED),
        (attestation.TEST_RESULT, {"result": "FAILED", "passedTests": ["x"]}, "a signed test result says 'FAILED'"),
        (attestation.SBOM, {"bomFormat": "CycloneDX", "components": []}, "has no components"),
    ],
)
def test_a_statement_that_says_nothing_is_none(
    fake: FakeRegistry, kind: str, predicate: dict[str, Any], said: str
) -> None:
    made = image()
    kept = [one for one in made.statements() if one["predicateType"] != kind]
    put(fake.host, made, *kept, {**made.statements()[1], "predicateType": kind, "predicate": predicate})
    told = problems(fake)
    assert said in told
    assert f"no signed statement of the type {kind}" in told


@pytest.mark.parametrize("first", ["good", "bad"])
def test_of_two_certificates_of_one_second_the_worse_counts(fake: FakeRegistry, first: str) -> None:
    made = image()
    bad = copy.deepcopy(made.certificate)
    bad["predicate"]["results"] = bad["predicate"]["results"][1:]
    rest = made.statements()
    put(fake.host, made, *([*rest, bad] if first == "good" else [bad, *rest]))
    assert "it is not in the report" in problems(fake)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plan: plan["labels"].pop("cuda"), "its plan promises cuda nothing, and the image's label 1"),
        (lambda plan: plan["labels"].update(cuda="9.9"), "its plan promises cuda 9.9, and the image's label 1"),
        (lambda plan: plan["labels"].update(more="1"), "its plan promises more 1, and the image's label nothing"),
    ],
)
def test_a_plan_that_promises_other_than_its_image(fake: FakeRegistry, change: Any, said: str) -> None:
    put(fake.host, edited(lambda one: change(one["predicate"]["plan"])))
    assert said in problems(fake)


PATHS = sorted(set(paths_in(image().certificate)) - {()}, key=repr)


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from(PATHS), value=JSON)
def test_no_signed_certificate_makes_a_traceback(path: tuple[Any, ...], value: Any) -> None:
    data = replaced(copy.deepcopy(image().certificate), path, value)
    config = Configuration("sha256:c", ("a",), "linux/amd64", {"assay.cuda": "1"})
    policy = certificate.Policy(suites(), digest="sha256:d", configuration=config, max_age_days=1, now=NOW)
    try:
        opened = certificate.read(data, policy)
    except VerificationFailed as error:
        assert len(str(error).splitlines()) == 2  # noqa: PT017 - most are opened
        return
    assert not opened.verdict.passed
    assert certificate.worst_of_newest([opened, opened]) == [opened]
