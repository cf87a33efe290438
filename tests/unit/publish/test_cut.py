"""A publication that ends at any moment leaves no tag that does not verify, and the next one goes on from there.

The process dies for the registry when nothing of it comes any more: here each PUT in turn is the first that is
missing. The real command is killed in tests/integration.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from assay import catalog, publish, verify
from assay.engine import Engine
from assay.publish import Destination, Signers
from assay.registry import Reference, tag
from assay.verify import Demands
from tests.fake_registry import Answer, FakeRegistry, serving
from tests.published import Image, fresh, image, key, labels, name, put, suites
from tests.unit.publish.known import ATTACHED, HOME, LocalEngine, Watched, chosen, images_of

OLDER = "0.0.9"
PARTS = 7


class Cut:
    """From the PUT of this number on, no request is carried out or answered: only a PUT changes what others see."""

    def __init__(self, number: int) -> None:
        self.left = number

    @property
    def reached(self) -> bool:
        return self.left < 0

    def __call__(self, method: str, path: str) -> Answer | None:
        self.left -= method == "PUT"
        return Answer(drop=True) if self.reached else None


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
    ("referrers", "before", "puts", "counts"),
    [(True, True, 4 + 2 * ATTACHED, (2, 3, 3)), (False, False, 7 + 3 * ATTACHED, (0, 1, 2))],
    ids=["an-older-one-is-there", "the-first-by-fallback-tags"],
)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_put_may_be_the_last(
    checkout: Path,
    made: Image,
    monkeypatch: pytest.MonkeyPatch,
    part: int,
    referrers: bool,
    before: bool,
    puts: int,
    counts: tuple[int, int, int],
) -> None:
    """Of ``puts`` in all; ``counts`` are the tags without the last two, without the last one, and with all."""
    monkeypatch.setattr("assay.registry.connection.time.sleep", lambda seconds: None)
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda seconds: None)
    cat, (good, _) = images_of(checkout), chosen(checkout)
    engine = cast(Engine, LocalEngine(made))
    for number in range(part, puts + 1, PARTS):
        with serving(FakeRegistry(referrers=referrers)) as fake:
            if before:
                put(fake.host, of_version(OLDER), tags=(tag(labels(OLDER)), "latest"))
            fake.hook = cut = Cut(number)
            destination = Destination(f"{fake.host}/team")
            _, failed = publish.publish(cat, engine, Signers(key()), good, destination, Watched())
            assert bool(failed) == cut.reached == (number < puts)
            fake.hook = lambda method, path: None
            require_all_verify(fake)
            assert len(tags(fake)) == counts[max(number - puts, -2) + 2]
            publish.publish(cat, engine, Signers(key()), good, destination, Watched())
            assert fake.tag(HOME, "latest") == made.digest
