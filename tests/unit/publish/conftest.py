"""A checkout with one image that may be published."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay import catalog
from assay.catalog import Built, write_images
from tests.published import Image, fresh, name
from tests.unit.publish.known import certify


@pytest.fixture
def made() -> Image:
    return fresh()


@pytest.fixture
def checkout(root: Path, tmp_path: Path, made: Image) -> Path:
    """A checkout with the images of this repository, one of them built and certified."""
    (tmp_path / "images").symlink_to(root / "images")
    (tmp_path / "build").mkdir()
    manifest = made.manifest.image()
    facts = made.certificate["predicate"]["image"]
    built = Built(
        key="k",
        suite=made.certificate["predicate"]["suite"]["digest"]["sha256"],
        digest=made.digest,
        config=manifest.config.digest,
        diff_ids=tuple(facts["diffIDs"]),
        layers=tuple((one.digest, one.size) for one in manifest.layers),
        compressed_bytes=1,
        uncompressed_bytes=1,
        seconds=1.0,
        built="2026-11-22T17:00:00Z",
    )
    write_images(tmp_path, {name(): built})
    cat = catalog.load(tmp_path)
    plan = catalog.plan(cat.get(name()))
    made.certificate["predicate"]["plan"] = {**plan, "engine": "docker"}
    facts["inputs"] = catalog.inputs(cat, cat.get(name()))
    certify(tmp_path, made.certificate)
    return tmp_path
