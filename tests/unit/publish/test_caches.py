"""The build caches that an image and what it stands on had are in what is published of it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec

from assay.attestation import PROVENANCE
from assay.catalog import read_images, write_images
from tests.fake_registry import FakeRegistry
from tests.published import Image, name
from tests.unit.publish.known import go, images_of


def parameters(fake: FakeRegistry) -> dict[str, Any]:
    """The internal parameters of the provenance that is attached."""
    for data in fake.blobs.values():
        if data.startswith(b"{") and b"dsseEnvelope" in data:
            statement = json.loads(base64.b64decode(json.loads(data)["dsseEnvelope"]["payload"]))
            if statement["predicateType"] == PROVENANCE:
                found = statement["predicate"]["buildDefinition"]["internalParameters"]
                assert isinstance(found, dict)
                return found
    raise AssertionError("no provenance is attached")


def test_an_image_without_a_cache(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    go(checkout, fake, made)
    assert set(parameters(fake)) == {"suite"}


def test_the_images_own_cache_and_that_of_its_base(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    cat = images_of(checkout)
    base = cat.ancestors(cat.get(name()))[-1].name
    (built,) = read_images(checkout).images.values()
    other = msgspec.structs.replace(built, cache="r.example/of-the-base")
    mine = msgspec.structs.replace(built, cache="r.example/own")
    write_images(checkout, {name(): mine, base: other})
    go(checkout, fake, made)
    assert parameters(fake)["caches"] == ["r.example/of-the-base", "r.example/own"]
