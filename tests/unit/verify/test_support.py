"""What the publisher says of upstream's support: shown, and no reason to refuse an image that holds."""

from __future__ import annotations

import json

import pytest

from assay.attestation.support import ANNOTATION, support
from assay.certificate import Suites
from assay.cli.publish import show_verdict
from assay.doctor.published import published as of_registry
from assay.verify import certificates
from tests import published
from tests.conftest import ROOT
from tests.fake_registry import FakeRegistry
from tests.published import image, key, name, put, reference
from tests.unit.verify.known import ask, problems


def told(digest: str, until: str = "2020-01", **more: str) -> dict[str, object]:
    return support(name(), digest, {"since": None, "until": until, "why": "it was retired", **more})


@pytest.mark.parametrize(("until", "words"), [("2020-01", "ended 2020-01: it was retired"), ("2098-12", "")])
def test_the_end_is_said_and_the_image_holds(
    fake: FakeRegistry, until: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = image()
    put(fake.host, made, *made.statements(), told(made.digest, until))
    found = ask(fake)
    assert found.passed, found.problems
    assert words in found.ended
    show_verdict(found)
    assert ("ended" in capsys.readouterr().out) == bool(words)
    annotations = [json.loads(data).get("annotations", {}) for _, data in fake.manifests.values()]
    assert {each[ANNOTATION] for each in annotations if ANNOTATION in each} == {until}


def test_of_several_the_earliest_end_counts(fake: FakeRegistry) -> None:
    made = image()
    put(fake.host, made, *made.statements(), told(made.digest, "2021-01"), told(made.digest, "2020-01"))
    assert "ended 2020-01" in ask(fake).ended


def test_one_that_is_malformed_is_a_problem(fake: FakeRegistry) -> None:
    made = image()
    put(fake.host, made, *made.statements(), told(made.digest, "soon"))
    assert "the signed statement of support is malformed" in problems(fake)


def test_the_doctor_hears_it_too(fake: FakeRegistry) -> None:
    made = published.fresh()
    put(fake.host, made, *made.statements(), told(made.digest))
    (found,), _ = of_registry([reference(fake.host)], key().public, Suites.read(ROOT))
    assert "ended 2020-01" in found.ended
    assert certificates(reference(fake.host), key().public, Suites.read(ROOT))
