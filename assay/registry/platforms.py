"""One image for each platform under one name: the index that lists them, read and written."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from assay.errors import VerificationFailed
from assay.host import machine
from assay.host.foreign import shown
from assay.registry.content import (
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    Platform,
    decode,
)
from assay.registry.source import Source

MOST_LISTED = 64
# What buildx lists beside an image, which is none.
_ATTESTATION = "vnd.docker.reference.type"


def image_of(source: Source, platform: str = "") -> tuple[Manifest, str]:
    """The manifest of the image that a reference names, and the platform that it has to be of.

    Of an index it is that of ``platform``, or of this machine's; what is no index may be of any, unless one is named.
    Raises `VerificationFailed` for an index that has none for it, or more than one.
    """
    manifest = source.manifest()
    if not manifest.is_index:
        return manifest, platform
    platform = platform or machine.oci_platform()
    listed = dict.fromkeys(each.digest for each in images(manifest) if _name(each) == platform)
    if len(listed) != 1:
        there = ", ".join(sorted({_name(each) for each in images(manifest)})) or "none"
        what = f"{manifest.digest[:19]} is an index with {len(listed) or 'no'} images for {platform}"
        raise VerificationFailed(f"{what}; it has {shown(there[:200])}", "Name another with --platform, or a digest.")
    return source.manifest(next(iter(listed))), platform


def images(index: Manifest) -> tuple[Descriptor, ...]:
    """The images that an index lists. Raises `VerificationFailed` for what is no index, or an image as well."""
    found = decode(index.data, Index, "the index")
    index.check_one_reading("layers", "an index and an image at once")
    if len(found.manifests) > MOST_LISTED:
        raise VerificationFailed(
            f"the index lists {len(found.manifests)} manifests, and at most {MOST_LISTED} are read",
            "Name one image's digest.",
        )
    return tuple(each for each in found.manifests if _ATTESTATION not in (each.annotations or {}))


def with_image(index: Manifest | None, image: Manifest, platform: str) -> Manifest:
    """The index that lists ``image`` for its platform, and for others what ``index`` lists.

    What is there as no index, a single image, is left out: nothing says its platform.
    """
    others = images(index) if index is not None and index.is_index else ()
    kept = {_name(each): each for each in others if _name(each) != platform and each.media_type == OCI_MANIFEST}
    operating_system, _, architecture = platform.partition("/")
    own = Descriptor(
        image.media_type, image.digest, len(image.data), platform=Platform(architecture, operating_system)
    )
    listed = dict(sorted({**kept, platform: own}.items()))
    return Manifest(msgspec.json.encode(Index(tuple(listed.values()))), OCI_INDEX)


def platforms(index: Manifest) -> Iterator[str]:
    """The platforms that an index has images for."""
    yield from map(_name, images(index))


def _name(listed: Descriptor) -> str:
    """A platform in one word; a variant is left out: Arm's 64 bits have one."""
    on = listed.platform
    return f"{on.os}/{on.architecture}" if on else ""
