"""A file that an image is carried in, read as a registry is: by whoever verifies it, and by whoever sends it on."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from assay.carry import archive
from assay.carry.archive import PIECE, Place, refused
from assay.carry.content import Content, parse
from assay.errors import UsageError
from assay.registry import LARGEST_MANIFEST, Descriptor, Manifest, NotThere, Reference, View

INDEX, LAYOUT = "index.json", "oci-layout"
VERSION = b'{"imageLayoutVersion":"1.0.0"}'


@dataclass(frozen=True)
class Layout:
    """An open file with one image; a `Source`. ``reference`` is what the image is, or is to be, called."""

    descriptor: int
    places: Mapping[str, Place]
    content: Content
    reference: Reference

    def named(self, reference: Reference) -> Layout:
        """The same file, read as the image of another name."""
        return dataclasses.replace(self, reference=reference)

    def manifest(self, wanted: str | None = None, limit: int = LARGEST_MANIFEST) -> Manifest:
        """A manifest by tag or digest (default: the reference's own)."""
        wanted = wanted or self.reference.wanted
        if wanted in self.content.tags:
            return self.content.image
        found = self.content.manifests.get(wanted)
        if found is None or len(found.data) > limit:
            raise NotThere(f"the file has no {wanted[:80]}", "`assay import` says which tags it has.")
        return found

    def referrers(self, digest: str) -> tuple[Descriptor, ...]:
        """What is attached to the image."""
        attached = self.content.attached if digest == self.content.image.digest else ()
        return tuple(
            Descriptor(one.media_type, one.digest, len(one.data), one.image().artifact_type) for one in attached
        )

    def size(self, digest: str) -> int | None:
        """How many bytes a blob has; None where there is none."""
        place = self.places.get(member(digest))
        return place.size if place else None

    def blob(self, descriptor: Descriptor, limit: int) -> bytes:
        """A small blob, whole; `VerificationFailed` unless it is what its descriptor says."""
        if descriptor.size > limit:
            raise refused(f"{descriptor.digest[:19]} has {descriptor.size} bytes, and at most {limit} are read")
        return b"".join(self.stream(descriptor))

    def stream(self, descriptor: Descriptor) -> Iterator[bytes]:
        """A blob of any size, in pieces. Only at its end is it known to be whole: `VerificationFailed` if not."""
        return whole(self.descriptor, self.places, descriptor)

    def file(self, digest: str) -> IO[bytes]:
        """A blob as a file of its own; several threads may read from one each."""
        return io.BufferedReader(_Part(self.descriptor, self.places[member(digest)]), PIECE)

    def check(self, view: View) -> None:
        """Read every blob against its digest; `VerificationFailed` for one that is not what that says."""
        blobs, name = self.content.blobs(), self.content.name
        view.sending(name, {digest: blob.size for digest, blob in blobs.items()})
        for digest, blob in blobs.items():
            count = 0
            for chunk in self.stream(blob):
                count += len(chunk)
                view.gone(name, digest, count)
            view.sent(name, digest)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Layout]:
    """Open a file of `assay export`; its blobs are all there, and not yet read.

    Raises `VerificationFailed` for anything else, and `UsageError` for what is no file at all.
    """
    if not path.is_file():
        raise UsageError(f"{path} is no file", "Name a file that `assay export` wrote.")
    with path.open("rb") as file:
        descriptor = file.fileno()
        places = archive.members(descriptor)
        content = _content(descriptor, places)
        # Any host: what the image is called is said by whoever knows where it goes.
        reference = Reference("localhost", content.name, digest=content.image.digest)
        yield Layout(descriptor, places, content, reference)


def member(digest: str) -> str:
    """The name of a blob's member."""
    return f"blobs/{digest.replace(':', '/')}"


def whole(descriptor: int, places: Mapping[str, Place], wanted: Descriptor) -> Iterator[bytes]:
    """The bytes of a blob; `VerificationFailed` at their end unless they are what the digest says."""
    place = places.get(member(wanted.digest))
    if place is None or place.size != wanted.size:
        raise refused(f"the blob {wanted.digest[:19]} of {wanted.size} bytes is not in it")
    digest = hashlib.sha256()
    for at in range(place.at, place.at + place.size, PIECE):
        chunk = os.pread(descriptor, min(PIECE, place.at + place.size - at), at)
        digest.update(chunk)
        yield chunk
    if f"sha256:{digest.hexdigest()}" != wanted.digest:
        raise refused(f"the blob {wanted.digest[:19]} was changed: it has other bytes")


def _content(descriptor: int, places: dict[str, Place]) -> Content:
    def read(wanted: Descriptor) -> bytes:
        if wanted.size > LARGEST_MANIFEST:
            raise refused(f"{wanted.digest[:19]} has {wanted.size} bytes, and a manifest at most {LARGEST_MANIFEST}")
        return b"".join(whole(descriptor, places, wanted))

    if _small(descriptor, places, LAYOUT) != VERSION:
        raise refused(f"{LAYOUT} is damaged, or of another version")
    content = parse(_small(descriptor, places, INDEX), read)
    blobs = content.blobs()
    for digest, blob in blobs.items():
        place = places.get(member(digest))
        if place is None or place.size != blob.size:
            raise refused(f"the blob {digest[:19]} of {blob.size} bytes is not in it")
    known = {LAYOUT, INDEX, *map(member, (*blobs, *content.manifests))}
    if known != places.keys():
        raise refused(f"it has {min(places.keys() - known)} in it, which no manifest names")
    return content


def _small(descriptor: int, places: Mapping[str, Place], name: str) -> bytes:
    place = places.get(name)
    if place is None:
        raise refused(f"it has no {name}: it is no archive of `assay export`")
    if place.size > LARGEST_MANIFEST:
        raise refused(f"{name} has {place.size} bytes, and at most {LARGEST_MANIFEST} are read")
    return os.pread(descriptor, place.size, place.at)


class _Part(io.RawIOBase):
    """A part of an open file, read as a file; each has a position of its own."""

    def __init__(self, descriptor: int, place: Place) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._place = place
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._place.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._place.size - self._at))
        data = os.pread(self._descriptor, wanted, self._place.at + self._at)
        if len(data) < wanted:
            raise refused("it was cut while it was read")
        buffer[:wanted] = data
        self._at += wanted
        return wanted
