"""Certificates of derived images: what they say, and what the judge says of them."""

from __future__ import annotations

from typing import Any

import pytest

from assay import certificate
from assay.certificate import BaseImage, Derived, level_text
from assay.certificate.derived import shown
from tests.unit.certificate.edits import Base
from tests.unit.certificate.mutation import written

BELOW = BaseImage("plain", "sha256:" + "b" * 64, "E2", 3)


def derived() -> Base:
    return next(base for base in written().values() if base.opened.derived)


def origin(change: Any) -> str:
    base = derived()
    predicate = {**base.predicate, "derived": change(base.predicate["derived"])}
    return certificate.read({**base.statement, "predicate": predicate}, base.published).origin


@pytest.mark.parametrize(
    ("added", "text"),
    [
        ({}, "E2, derived: +0 packages"),
        ({"a": "1"}, "E2, derived: +1 package"),
        ({"a": "1", "b": "1", "c": "1"}, "E2, derived: +3 packages"),
    ],
)
def test_the_level_of_a_derived_image_says_so(added: dict[str, str], text: str) -> None:
    assert level_text("E2", Derived(BELOW, added)) == text
    assert level_text("E2", None) == "E2"


def test_many_packages_are_shown_by_the_first() -> None:
    assert shown({}) == "nothing"
    assert shown({f"p{number}": "1" for number in range(10)}).endswith("p7 1 and 2 more")


def test_a_derived_image_has_the_level_of_its_evidence_and_a_name_of_its_own() -> None:
    base = derived()
    for policy in (base.alone, base.published):
        opened = certificate.read(base.statement, policy)
        assert (opened.verdict.level, opened.origin) == ("E2", "")
        assert opened.image.endswith("/derived")
        assert opened.derived is not None
        assert level_text(opened.verdict.level, opened.derived) == "E2, derived: +2 packages"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: {**one, "base": {**one["base"], "digest": "sha256:" + "e" * 64}}, "as its base"),
        (lambda one: {**one, "base": {**one["base"], "level": "E4"}}, "as its base"),
        (lambda one: {**one, "base": {**one["base"], "level": "E1"}}, "its base reaches E1, and it claims E2"),
        (lambda one: {**one, "base": {**one["base"], "layers": 9}}, "it names a base of 9 layers, and has 2"),
        (lambda one: {**one, "base": {**one["base"], "digest": "sha256:" + "d" * 64}}, "its own image as its base"),
        (lambda one: {**one, "added": {}}, "it says that this was added: nothing; and its report counts 2: einops"),
    ],
)
def test_what_a_derived_image_says_of_its_base(change: Any, said: str) -> None:
    assert said in origin(change)
