"""The key of an image: a hash over everything that decides what it will be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version

from assay import catalog, rootfs
from assay.catalog import Catalog, Image
from assay.catalog.built import tag
from assay.catalog.inputs import ENVIRONMENT, environment_files, hashes, image_files
from assay.certificate import suite_files

# Raise it when this file changes what goes into an image in a way that no input shows.
RECIPE = 2


def environment_tag(cat: Catalog, image: Image, parent_digest: str | None, suffix: str) -> str:
    """The local name of an image's environment, after all that goes into it."""
    parts = {"parent": parent_digest, **_inputs(image), "files": hashes(cat.root, environment_files(cat, image))}
    return tag(image.name, f"{ENVIRONMENT}-{_digest_of(parts)[:16]}", suffix)


def input_key(cat: Catalog, image: Image, parent_digest: str | None) -> str:
    """A hash over everything that decides what an image will be."""
    parts: dict[str, object] = {"parent": parent_digest, "labels": catalog.labels(image), **_inputs(image)}
    files = image_files(cat, image)
    if image.framework:
        parts["plan"] = catalog.plan_text(image)
        files += suite_files.carried(cat.root / "smoke", image.framework.name)
    return _digest_of({**parts, "files": hashes(cat.root, files)})


def _inputs(image: Image) -> dict[str, object]:
    inputs: dict[str, object] = {"recipe": RECIPE, "epoch": rootfs.SOURCE_DATE_EPOCH, "uv": version("uv")}
    optional: dict[str, object] = {"sources": sorted(image.sources), "first": list(image.first)}
    return {**inputs, **{name: value for name, value in optional.items() if value}}


def _digest_of(parts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
