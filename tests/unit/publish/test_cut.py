"""A publication that ends at any moment leaves no tag that does not verify, and the next one goes on from there.

The process dies for the registry when nothing of it comes any more: here each request in turn is the last one. The
real command is killed in tests/integration.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from assay import catalog, verify
from assay.errors import RegistryFailed
from assay.registry import Reference, tag
from assay.verify import Demands
from tests.fake_registry import Answer, FakeRegistry, serving
from tests.published import Image, fresh, image, key, labels, name, put, suites
from tests.unit.publish.known import HOME, go

OLDER = "0.0.9"


class Cut:
    """From the request of this number on, none is carried out or answered."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.reached = False

    def __call__(self, method: str, path: str) -> Answer | None:
        self.left -= 1
        self.reached = self.reached or self.left < 0
        return Answer(drop=True) if self.left < 0 else None


def tags(fake: FakeRegistry) -> dict[str, str]:
    """The tags that people pull, with their digests."""
    found = {which for where, which in fake.manifests if where == HOME and not which.startswith("sha256")}
    return {which: str(fake.tag(HOME, which)) for which in found}


def require_all_verify(fake: FakeRegistry) -> None:
    for each in tags(fake):
        found = verify.verify(Reference.parse(f"{fake.host}/{HOME}:{each}"), key().public, suites(), Demands())
        assert found.passed, (each, found.problems)


def of_version(version: str) -> Image:
    """An image of a version, certified now."""
    found = image(version)
    found.certificate["predicate"]["timeCreated"] = fresh().certificate["predicate"]["timeCreated"]
    return found


@pytest.fixture
def made(root: Path) -> Image:
    """One of the version that this checkout has, so that the tag it is published under is its own."""
    version = catalog.framework_version(catalog.load(root).get(name()))
    assert version
    return of_version(version)


@pytest.mark.parametrize(
    ("referrers", "before", "counts"),
    [(True, True, {2, 3}), (False, False, {0, 1, 2})],
    ids=["an-older-one-is-there", "the-first-by-fallback-tags"],
)
def test_every_request_may_be_the_last(
    checkout: Path, made: Image, monkeypatch: pytest.MonkeyPatch, referrers: bool, before: bool, counts: set[int]
) -> None:
    monkeypatch.setattr("assay.registry.connection.time.sleep", lambda seconds: None)
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda seconds: None)
    seen = set()
    for number in itertools.count():
        with serving(FakeRegistry(referrers=referrers)) as fake:
            if before:
                put(fake.host, of_version(OLDER), tags=(tag(labels(OLDER)), "latest"))
            fake.hook = cut = Cut(number)
            try:
                go(checkout, fake, made)
            except RegistryFailed:
                assert cut.reached
            fake.hook = lambda method, path: None
            require_all_verify(fake)
            seen.add(len(tags(fake)))
            if not cut.reached:
                break
            go(checkout, fake, made)
            require_all_verify(fake)
            assert fake.tag(HOME, "latest") == made.digest
    assert number > 20
    assert seen == counts
