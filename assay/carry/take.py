"""An image out of a registry into one file, with all that is attached to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from assay.carry import archive
from assay.carry.content import MANIFESTS, MOST_ATTACHED, Content, is_name, named
from assay.carry.layout import INDEX, LAYOUT, VERSION, member
from assay.errors import UsageError, VerificationFailed
from assay.host import files
from assay.registry import (
    LARGEST_CONFIG,
    LARGEST_MANIFEST,
    Descriptor,
    ImageConfig,
    Manifest,
    NotThere,
    Repository,
    View,
    decode,
    image_of,
    is_tag,
    tag,
)


@dataclass(frozen=True)
class Carried:
    """What was carried. ``size`` is in bytes: of the file, or what was sent of it.

    ``left_out``: attached, but not to be had, and why.
    """

    reference: str
    tags: tuple[str, ...]
    attached: int
    size: int
    seconds: float
    left_out: tuple[str, ...] = ()


def row(carried: Carried) -> dict[str, object]:
    """What was carried, for programs."""
    return {
        "reference": carried.reference,
        "tags": list(carried.tags),
        "attached": carried.attached,
        "bytes": carried.size,
        "seconds": round(carried.seconds, 1),
        "left_out": list(carried.left_out),
    }


def take(repository: Repository, file: Path, name: str | None, view: View) -> Carried:
    """Write the image that the repository's reference names, whole or not at all.

    ``name`` is the image's, where the repository is called otherwise. Its blobs are held against their digests as
    they come.
    """
    started = time.monotonic()
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise UsageError(f"{file} is there and no file", "Name another file to write.")
    name = name or repository.reference.path.rpartition("/")[2]
    if not is_name(name):
        raise UsageError(f"{name!r} can be no image's name", "Name it as the last part of a repository's name.")
    view.phase(name, "asking what is there")
    content, left_out = _content(repository, name)
    view.sending(name, {digest: blob.size for digest, blob in content.blobs().items()})
    with files.writing(file) as out:
        _write(repository, content, out, view)
    return Carried(
        str(repository.reference.at(content.image.digest)),
        content.tags,
        len(content.attached),
        file.stat().st_size,
        time.monotonic() - started,
        tuple(left_out),
    )


def _content(repository: Repository, name: str) -> tuple[Content, list[str]]:
    """What there is to carry, and what is attached but cannot be had."""
    image = _typed(image_of(repository)[0])  # of an index that of this machine's platform
    if image.image().subject:
        raise UsageError(f"{repository.reference} is attached to an image, and none itself", "Name the image.")
    listed = {each.digest: each for each in repository.referrers(image.digest)}
    if len(listed) > MOST_ATTACHED:
        raise VerificationFailed(
            f"{len(listed)} manifests are attached, and at most {MOST_ATTACHED} are carried", "Ask whoever runs it."
        )
    attached, left_out = [], []
    for digest in sorted(listed):
        try:
            attached.append(_attached(repository, digest, image.digest))
        except (VerificationFailed, NotThere) as error:
            left_out.append(f"{digest[7:19]}: {error.what}")
    return Content(name, _tags(repository, image), image, tuple(attached)), left_out


def _attached(repository: Repository, digest: str, image: str) -> Manifest:
    """What is attached to an image, if it is all there."""
    found = _typed(repository.manifest(digest, LARGEST_MANIFEST))
    content = found.image()
    if content.subject is None or content.subject.digest != image:
        raise VerificationFailed("it is attached to another image", "Do not use it.")
    for blob in named(content):
        if repository.size(blob.digest) != blob.size:
            raise VerificationFailed(f"its blob {blob.digest[:19]} is not there", "Do not use it.")
    return found


def _typed(manifest: Manifest) -> Manifest:
    """A manifest under the type that it calls itself; some registries do not give one."""
    found = Manifest(manifest.data, manifest.image().media_type)
    if found.media_type not in MANIFESTS:
        raise VerificationFailed(f"{found.digest[:19]} is no image but {found.media_type[:60]!r}", "Do not use it.")
    return found


def _tags(repository: Repository, image: Manifest) -> tuple[str, ...]:
    """Of the tags that an image of ours has, and the one it was named by, those that it has."""
    config = decode(repository.blob(image.image().config, LARGEST_CONFIG), ImageConfig, "the image's configuration")
    usual = {"latest", tag(config.config.labels), repository.reference.tag or "latest"}
    meant = {image.digest, repository.digest(repository.reference.wanted)}  # an index too, which led to the image
    return tuple(sorted(one for one in usual if is_tag(one) and repository.digest(one) in meant))


def _write(repository: Repository, content: Content, out: IO[bytes], view: View) -> None:
    """Write all members in the order of their names."""
    index = content.index()
    small = {member(one.digest): one.data for one in content.manifests.values()} | {INDEX: index, LAYOUT: VERSION}
    blobs = {member(digest): blob for digest, blob in content.blobs().items()}
    for name in sorted(small | blobs):
        if name in small:
            archive.write(out, name, len(small[name]), [small[name]])
        else:
            archive.write(out, name, blobs[name].size, _watched(repository, blobs[name], content.name, view))
    archive.end(out)


def _watched(repository: Repository, blob: Descriptor, name: str, view: View) -> Iterator[bytes]:
    count = 0
    for chunk in repository.stream(blob):
        yield chunk
        count += len(chunk)
        view.gone(name, blob.digest, count)
    view.sent(name, blob.digest)
