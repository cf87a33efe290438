"""``build/images.json``: what was built, and under which local names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from assay.catalog import Catalog
from assay.errors import UsageError

SCHEMA = 1
PREFIX = "assay"


class Built(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
    path = root / "build" / "images.json"
    partial = path.with_suffix(".partial")
    partial.write_bytes(text + b"\n")
    partial.replace(path)


def registry_bytes(built: Iterable[Built]) -> tuple[int, int]:
    """What these images take in a registry together, where each layer is kept once, and the sum of each alone."""
    images = list(built)
    layers = {digest: size for image in images for digest, size in image.layers}
    return sum(layers.values()), sum(size for image in images for _, size in image.layers)


def smallest(cat: Catalog) -> str:
    """The built framework image that takes the least room; of those alone that are not compiled, if there are any."""
    built = read_images(cat.root).images
    sizes = {
        image.name: (image.build_tools is not None, built[image.name].uncompressed_bytes)
        for image in cat.frameworks()
        if image.name in built
    }
    if not sizes:
        raise UsageError("no framework image is built", "Run `assay build` first.")
    return min(sizes, key=lambda name: sizes[name])


def repository(name: str, suffix: str = "") -> str:
    """What an image's local names begin with."""
    return f"{PREFIX}{suffix}/{name}"


def tag(name: str, version: str, suffix: str = "") -> str:
    """A local name of an image."""
    return f"{repository(name, suffix)}:{version}"


def short(digest: str) -> str:
    """A digest as a tag: long enough never to clash."""
    return digest.removeprefix("sha256:")[:16]
