"""The tags of an image that is built for several platforms point to an index, which grows by one at a time."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

from assay import publish
from assay.catalog.platforms import ARM64
from assay.engine import Engine
from assay.publish import Candidate, Destination, Signers
from assay.registry import OCI_INDEX, Manifest, platforms
from tests.fake_registry import FakeRegistry
from tests.published import Image, fresh, key, put
from tests.unit.publish.known import HOME, LocalEngine, Watched, chosen, images_of

BOTH = ("linux/amd64", "linux/arm64")


def several(checkout: Path, **change: object) -> Candidate:
    """The candidate of an image that declares two platforms."""
    (one,), _ = chosen(checkout)
    return dataclasses.replace(one, image=dataclasses.replace(one.image, platforms=BOTH, **change))  # type: ignore[arg-type]


def go(checkout: Path, fake: FakeRegistry, made: Image, candidate: Candidate) -> publish.Published:
    there = Destination(f"{fake.host}/team")
    engine = cast(Engine, LocalEngine(made))
    (done,), failed = publish.publish(images_of(checkout), engine, Signers(key()), [candidate], there, Watched())
    assert not failed
    return done


def tagged(fake: FakeRegistry, tag: str) -> Manifest:
    media_type, data = fake.manifests[HOME, tag]
    return Manifest(data, media_type)


def test_the_first_one_makes_the_index(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    done = go(checkout, fake, made, several(checkout))
    assert done.reference.endswith(made.digest)
    for tag in done.tags:
        found = tagged(fake, tag)
        assert (found.media_type, list(platforms(found))) == (OCI_INDEX, ["linux/amd64"])
    before = fake.written()
    assert go(checkout, fake, made, several(checkout)).sent == 0
    assert fake.written() == before


def test_another_one_joins_it(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    """An image that was published alone, for the other platform, stays."""
    other = fresh(platform="linux/arm64")
    tag = several(checkout).tags[0]
    put(fake.host, other, tags=(tag,))
    assert fake.tag(HOME, tag) == other.digest
    go(checkout, fake, made, several(checkout))
    assert list(platforms(tagged(fake, tag))) == list(BOTH)
    assert tagged(fake, "latest").digest == tagged(fake, tag).digest


def test_its_own_place_is_taken_anew(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    go(checkout, fake, made, several(checkout))
    go(checkout, fake, made, several(checkout, built_for=ARM64))
    assert list(platforms(tagged(fake, "latest"))) == list(BOTH)
