"""What a registry holds: manifests, and the descriptors and configurations that they name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec

from assay.errors import VerificationFailed
from assay.host import strict

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
ACCEPTED = (OCI_MANIFEST, OCI_INDEX, "application/vnd.docker.distribution.manifest.v2+json")

LARGEST_MANIFEST = 4 * 2**20  # what the specification asks registries to take
LARGEST_CONFIG = 4 * 2**20
LARGEST_LAYER = 64 * 2**30  # packed, and unpacked
MOST_LAYERS = 127  # what engines can stack

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
T = TypeVar("T")


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an image in an index runs on."""

    architecture: str = ""
    os: str = ""
    variant: str = ""


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What points to content: its type, digest and size in bytes."""

    media_type: str
    digest: Sha256
    size: Annotated[int, msgspec.Meta(ge=0, le=2**50)]
    artifact_type: str | None = None
    annotations: dict[str, str] | None = None
    platform: Platform | None = None


class ImageManifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An image, or an artifact attached to one (then it has a ``subject``)."""

    config: Descriptor
    layers: Annotated[tuple[Descriptor, ...], msgspec.Meta(max_length=MOST_LAYERS)]
    # Factories, since plain defaults would be left out, and registries want these two.
    schema_version: int = msgspec.field(default_factory=lambda: 2)
    media_type: str = msgspec.field(default_factory=lambda: OCI_MANIFEST)
    artifact_type: str | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Index(msgspec.Struct, frozen=True, rename="camel"):
    """A list of manifests: images by platform, what the referrers API answers with, or what a fallback tag holds."""

    manifests: tuple[Descriptor, ...]
    schema_version: int = 2
    media_type: str = OCI_INDEX


class RootFs(msgspec.Struct, frozen=True):
    """The layers of an image by the digests of their tars."""

    diff_ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_LAYERS)]
    type: str = "layers"


class Settings(msgspec.Struct, frozen=True):
    """How containers of an image start; of it the labels."""

    labels: dict[str, str] = msgspec.field(default_factory=dict, name="Labels")


class ImageConfig(msgspec.Struct, frozen=True):
    """An image's configuration; of it what a certificate says too."""

    rootfs: RootFs
    config: Settings = Settings()
    os: str = ""
    architecture: str = ""


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry has it, byte for byte; ``digest`` is computed from ``data``."""

    data: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """The digest that these bytes have."""
        return digest_of(self.data)

    @property
    def is_index(self) -> bool:
        """Whether the registry calls it a list of several images."""
        return "index" in self.media_type or "list" in self.media_type

    def image(self) -> ImageManifest:
        """Its content; `VerificationFailed` unless it is one image's manifest."""
        if self.is_index:
            raise VerificationFailed(
                f"{self.digest[:19]} is an index of several images, and not one of ours", "Name one image's digest."
            )
        found = decode(self.data, ImageManifest, "the manifest")
        self.check_one_reading("manifests", "an image and an index at once")
        return found

    def check_one_reading(self, never: str, both: str) -> None:
        """Hold that no reader takes it for something else: by the field ``never``, or by a name in capitals.

        Raises `VerificationFailed`, with ``both`` for what it is then.
        """
        todo = "Do not use it: two tools would take it for two different images."
        data = strict.parsed(self.data)
        fields = ("config", "layers", "manifests", "schemaVersion", "mediaType", "subject")
        known = {name.lower(): name for name in fields}
        for name in data:
            if name.lower() == never:
                raise VerificationFailed(f"{self.digest[:19]} is {both}", todo)
            if known.get(name.lower(), name) != name:
                raise VerificationFailed(f"{self.digest[:19]} writes {known[name.lower()]} as {name[:20]!r}", todo)
        if data.get("schemaVersion", 2) != 2:
            raise VerificationFailed(f"{self.digest[:19]} has schemaVersion {str(data['schemaVersion'])[:20]}", todo)
        if self.media_type and data.get("mediaType", self.media_type) != self.media_type:
            raise VerificationFailed(
                f"{self.digest[:19]} calls itself {str(data['mediaType'])[:60]!r}, and the registry "
                f"{self.media_type[:60]!r}",
                todo,
            )


def digest_of(data: bytes) -> str:
    """The digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def decode(data: bytes, kind: type[T], what: str) -> T:
    """Decode JSON that a stranger wrote; whatever is wrong with it is a `VerificationFailed`."""
    try:
        strict.parsed(data)  # msgspec takes the last of two equal keys, and others the first
        return msgspec.json.decode(data, type=kind)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise VerificationFailed(
            f"{what} is malformed: {error}", "Ask whoever runs the registry; do not use the image."
        ) from None


def altered(descriptor: Descriptor, count: int) -> VerificationFailed:
    """The error for a blob of ``count`` bytes that is not what its descriptor says."""
    how = f"{count} of {descriptor.size} bytes" if count != descriptor.size else "other content of the same size"
    return VerificationFailed(
        f"the blob {descriptor.digest[:19]} is truncated or changed: the registry has {how}",
        "Do not use the image; whoever published it can publish it again.",
    )
