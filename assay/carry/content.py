"""What is carried of an image: its manifest, what is attached to it, and its tags; and the index that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from assay.carry.archive import refused
from assay.errors import UsageError
from assay.registry import (
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    ImageManifest,
    Manifest,
    Reference,
    decode,
    digest_of,
    is_tag,
)

MOST_ATTACHED = 256
MOST_TAGS = 16
MANIFESTS = (OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")

_TAG = "org.opencontainers.image.ref.name"
# What `docker load` calls it: as an image that was built here.
_LOADED = "io.containerd.image.name"
_NAME = "assay.image"
# What the index has no digest for, as blobs have one: the hash of the index without this line.
_HASH = "assay.index"


class _Index(msgspec.Struct, frozen=True, rename="camel"):
    """The index.json of a layout."""

    annotations: dict[str, str]
    manifests: tuple[Descriptor, ...]
    schema_version: int = 2
    media_type: str = OCI_INDEX


@dataclass(frozen=True)
class Content:
    """An image of this name with its tags, and all that is attached to it."""

    name: str
    tags: tuple[str, ...]
    image: Manifest
    attached: tuple[Manifest, ...]

    @property
    def manifests(self) -> dict[str, Manifest]:
        """All manifests by their digest."""
        return {one.digest: one for one in (self.image, *self.attached)}

    def blobs(self) -> dict[str, Descriptor]:
        """All that the manifests name, by its digest; `VerificationFailed` where one digest has two sizes."""
        found: dict[str, Descriptor] = {}
        for one in (self.image, *self.attached):
            for blob in named(one.image()):
                if found.setdefault(blob.digest, blob).size != blob.size:
                    raise refused(f"{blob.digest[:19]} is said to have {blob.size} bytes, and another number of them")
        return found

    def index(self) -> bytes:
        """The index.json: the image once for each tag, then what is attached. One content gives one index."""
        image = _listed(self.image)
        tagged = [
            msgspec.structs.replace(image, annotations={_LOADED: f"docker.io/assay/{self.name}:{tag}", _TAG: tag})
            for tag in sorted(self.tags)
        ]
        attached = map(_listed, sorted(self.attached, key=lambda one: one.digest))
        plain = _Index({_NAME: self.name}, (*(tagged or [image]), *attached))
        whole = {**plain.annotations, _HASH: digest_of(msgspec.json.encode(plain))}
        return msgspec.json.encode(msgspec.structs.replace(plain, annotations=whole))


def parse(index: bytes, read: Callable[[Descriptor], bytes]) -> Content:
    """What an index.json lists; ``read`` gives a manifest's bytes, held against its digest.

    Raises `VerificationFailed` for what `Content.index` would not have written.
    """
    found = decode(index, _Index, "index.json")
    if len(found.manifests) > MOST_ATTACHED + MOST_TAGS:
        raise refused(f"index.json lists {len(found.manifests)} manifests, and at most {MOST_ATTACHED} are attached")
    listed = {each.digest: each for each in found.manifests}
    manifests = [Manifest(read(each), each.media_type) for each in listed.values()]
    images = [one for one in manifests if one.image().subject is None]
    if len(images) != 1:
        raise refused(f"it has {len(images)} images in it, and not one")
    (image,) = images
    attached = tuple(one for one in manifests if one is not image)
    tags = tuple(sorted(_tags(found, image.digest)))
    content = Content(found.annotations.get(_NAME, ""), tags, image, attached)
    _check(content)
    if content.index() != index:
        raise refused("index.json is damaged, or another tool's")
    return content


def named(manifest: ImageManifest) -> tuple[Descriptor, ...]:
    """The blobs that a manifest names."""
    return (manifest.config, *manifest.layers)


def is_name(text: str) -> bool:
    """Whether a text can be the last part of a repository's name."""
    try:
        return "/" not in text and Reference.parse(f"localhost/{text}") == Reference("localhost", text)
    except UsageError:
        return False


def _tags(index: _Index, digest: str) -> Iterator[str]:
    for each in index.manifests:
        if each.digest == digest and each.annotations:
            yield each.annotations.get(_TAG, "")


def _check(content: Content) -> None:
    if not is_name(content.name):
        raise refused(f"index.json names no image, but {content.name[:80]!r}")
    if len(content.tags) > MOST_TAGS or len(set(content.tags)) < len(content.tags):
        raise refused(f"index.json has more than {MOST_TAGS} tags, or one of them twice")
    for tag in content.tags:
        if not is_tag(tag):
            raise refused(f"index.json has the tag {tag[:80]!r}, which no image can have")
    for one in content.manifests.values():
        if one.media_type not in MANIFESTS:
            raise refused(f"{one.digest[:19]} is no image but {one.media_type[:80]!r}")
    for one in content.attached:
        subject = one.image().subject
        if subject is None or subject.digest != content.image.digest:
            raise refused(f"{one.digest[:19]} is attached to another image")


def _listed(manifest: Manifest) -> Descriptor:
    # No annotations of its own: one of them might be taken for a tag.
    found = manifest.image()
    kind = (found.artifact_type or found.config.media_type) if found.subject else None
    return Descriptor(manifest.media_type, manifest.digest, len(manifest.data), kind)
