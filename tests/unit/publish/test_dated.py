"""Dated tags: beside those that move, and they never do."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay import verify
from assay.errors import UsageError
from assay.registry import Reference
from tests.fake_registry import FakeRegistry
from tests.published import CONTENT, TAG, Image, fresh, key, name, put, suites
from tests.unit.publish.known import HOME, go


def day(made: Image) -> str:
    return str(made.certificate["predicate"]["timeCreated"])[:10].replace("-", "")


def asked(fake: FakeRegistry, tag: str) -> verify.Verification:
    return verify.verify(Reference.parse(f"{fake.host}/team/{name()}:{tag}"), key().public, suites())


def test_it_stands_beside_the_others_and_again_changes_nothing(
    checkout: Path, fake: FakeRegistry, made: Image
) -> None:
    one = go(checkout, fake, made, dated=True)
    dated, version, latest = one.tags
    assert (dated, latest) == (f"{version}-{day(made)}", "latest")
    assert fake.tag(HOME, dated) == made.digest
    before = fake.written()
    assert go(checkout, fake, made, dated=True).sent == 0
    assert fake.written() == before


def test_another_image_does_not_get_it(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    version = go(checkout, fake, made).tags[0]
    dated = f"{version}-{day(made)}"
    put(fake.host, fresh((*CONTENT, b"another layer")), tags=(dated,))
    other, written = fake.tag(HOME, dated), fake.written()
    assert other != made.digest
    with pytest.raises(UsageError, match="a dated tag never moves"):
        go(checkout, fake, made, dated=True)
    assert fake.tag(HOME, dated) == other
    assert fake.written() == written, "nothing is sent, and no other tag moves"


def test_one_that_was_moved_is_refused(fake: FakeRegistry) -> None:
    made = fresh()
    labelled = TAG
    put(fake.host, made, tags=(f"{labelled}-{day(made)}", f"{labelled}-20200101", f"{labelled}-2020"))
    assert asked(fake, f"{labelled}-{day(made)}").passed
    for moved in (f"{labelled}-20200101", f"{labelled}-2020"):
        assert any("it was moved" in problem for problem in asked(fake, moved).problems), moved
