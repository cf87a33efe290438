"""An image out of a file into a registry: blobs first, manifests after them, the tags last."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from typing import IO

from assay.carry.content import is_name
from assay.carry.layout import Layout
from assay.carry.take import Carried
from assay.errors import UsageError
from assay.registry import Reference, Repository, Sender, Told, View


def destination(registry: str, name: str) -> Reference:
    """Where an image goes: to ``registry``/NAME; `UsageError` where that is no reference to a registry."""
    if not is_name(name):
        raise UsageError(f"{name!r} can be no image's name", "Name it as the last part of a repository's name.")
    return Reference.parse(f"{registry.rstrip('/')}/{name}")


def bring(layout: Layout, repository: Repository, view: View) -> Carried:
    """Send what the registry lacks of a file's image, of what is attached to it, and of its tags."""
    started, content = time.monotonic(), layout.content
    name, image = content.name, content.image
    view.phase(name, "asking what is there")
    by_size = sorted(content.blobs().values(), key=lambda blob: blob.size, reverse=True)
    absent = {blob.digest: blob.size for blob in by_size if repository.size(blob.digest) != blob.size}
    view.sending(name, absent)
    told = Told(functools.partial(view.gone, name), functools.partial(view.sent, name))
    Sender(repository, absent, _files(layout, absent), told, _as_it_says).send()
    if repository.digest(image.digest) != image.digest:
        repository.put_manifest(image.data, image.media_type)
    view.phase(name, "certificates")
    for one in content.attached:
        repository.attach_manifest(one)
    view.phase(name, "tags")
    for tag in content.tags:
        if repository.digest(tag) != image.digest:
            repository.put_manifest(image.data, image.media_type, tag)
    seconds = time.monotonic() - started
    reference = str(repository.reference.at(image.digest))
    return Carried(reference, content.tags, len(content.attached), repository.sent, seconds)


def _files(layout: Layout, digests: dict[str, int]) -> Iterator[tuple[str, IO[bytes]]]:
    for digest in digests:
        yield digest, layout.file(digest)


def _as_it_says(_file: IO[bytes], _digest: str) -> None:
    """The file was read against its digests before: what the registry says of it is all there is to say."""
