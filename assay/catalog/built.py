"""``build/images.json`` says what was built; `tag` and `repository` say what the engine calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from assay.catalog.drift import Drift
from assay.catalog.image import Catalog, Image
from assay.errors import UsageError
from assay.host import files

SCHEMA = 1
PREFIX = "assay"


class Built(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One image as it was built. Sizes in bytes."""

    key: str
    suite: str | None  # the digest of the smoke suite in it; None where there is none
    digest: str
    config: str
    diff_ids: tuple[str, ...]
    layers: tuple[tuple[str, int], ...]
    compressed_bytes: int
    uncompressed_bytes: int
    seconds: float
    built: str
    # By the name of the base or the build tools that are not as they were locked; empty for an exact image.
    drift: dict[str, Drift] = {}
    builder: str = ""  # which of several engines built it; empty for this machine's
    cache: str = ""  # the registry whose build cache may have given some of its layers; empty for none


class Images(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``build/images.json``."""

    schema: int = SCHEMA
    images: dict[str, Built] = {}


def read_images(root: Path) -> Images:
    """Read ``build/images.json``; none yet is an empty one. A malformed one is a `UsageError`."""
    path = root / "build" / "images.json"
    try:
        images = msgspec.json.decode(path.read_bytes(), type=Images)
    except FileNotFoundError:
        return Images()
    except (OSError, msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "Delete it and run `assay build`.") from error
    if images.schema != SCHEMA:
        raise UsageError(f"{path} has schema {images.schema}, not {SCHEMA}", "Delete it and run `assay build`.")
    return images


def write_images(root: Path, built: Mapping[str, Built]) -> None:
    """Write the file whole or not at all."""
    text = msgspec.json.format(msgspec.json.encode(Images(images=dict(sorted(built.items())))), indent=1)
    files.replace(root / "build" / "images.json", text + b"\n")


def drifts(built: Mapping[str, Built]) -> dict[str, Drift]:
    """Return everything that drifted, by name, each once, whichever images stand on it."""
    return {name: drift for image in built.values() for name, drift in image.drift.items()}


def select_built(catalog: Catalog, names: Iterable[str], built: Mapping[str, Built]) -> tuple[Image, ...]:
    """Return the images of these names, built or not; all framework images that are built where there are no names.

    Raises `UsageError` where none is.
    """
    names = tuple(names)
    chosen = catalog.select(names)
    if not names:
        chosen = tuple(image for image in chosen if image.name in built)
    if not chosen:
        raise UsageError("no image is built", "Run `assay build` first.")
    return chosen


def together(images: Iterable[Image]) -> tuple[Image, ...]:
    """Return images in an order in which those of one parent follow each other: what they share is unpacked once."""
    return tuple(sorted(images, key=lambda image: (image.parent or "", image.name)))


def registry_bytes(built: Iterable[Built]) -> tuple[int, int]:
    """Return the bytes of these images in a registry, which keeps each layer once, and the sum of each alone."""
    images = list(built)
    layers = {digest: size for image in images for digest, size in image.layers}
    return sum(layers.values()), sum(size for image in images for _, size in image.layers)


def smallest(catalog: Catalog) -> str:
    """Return the built framework image that takes the least room; a compiled one only if all are compiled."""
    return _least(catalog, {name: made.uncompressed_bytes for name, made in read_images(catalog.root).images.items()})


def smallest_by_limit(catalog: Catalog) -> str:
    """Return the same of all framework images, built or not, by what they may take."""
    return _least(catalog, {image.name: image.size_gb for image in catalog.frameworks() if image.size_gb})


def _least(catalog: Catalog, sizes: Mapping[str, float]) -> str:
    ranks = {
        image.name: (image.build_tools is not None, sizes[image.name])
        for image in catalog.frameworks()
        if image.name in sizes
    }
    if not ranks:
        raise UsageError("no framework image is built", "Run `assay build` first.")
    return min(ranks, key=lambda name: ranks[name])


def repository(name: str, suffix: str = "") -> str:
    """Return what an image's local names begin with."""
    return f"{PREFIX}{suffix}/{name}"


def tag(name: str, version: str, suffix: str = "") -> str:
    """Return a local name of an image."""
    return f"{repository(name, suffix)}:{version}"


def short(digest: str) -> str:
    """Return a digest as a tag, long enough never to clash."""
    return digest.removeprefix("sha256:")[:16]
