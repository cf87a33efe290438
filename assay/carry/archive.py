"""The tar that an image is carried in: its members in order, with fixed headers, read where they lie.

One content gives one file, byte for byte. So whatever is not as it would be written here was cut, damaged, or made by
something else, and is refused; nothing is unpacked, so no name in it leads anywhere.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO

from assay.errors import VerificationFailed
from assay.registry.content import LARGEST_LAYER

MOST_MEMBERS = 20_000
PIECE = 2**20

_MEMBER = re.compile(r"blobs/sha256/[0-9a-f]{64}|index\.json|oci-layout")
_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_KINDS = {tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "link", tarfile.DIRTYPE: "folder"}


@dataclass(frozen=True)
class Place:
    """Where in the file a member's content lies, in bytes."""

    at: int
    size: int

    @property
    def end(self) -> int:
        """Where the next member begins."""
        return self.at + self.size + -self.size % _BLOCK


def write(file: IO[bytes], name: str, size: int, chunks: Iterable[bytes]) -> None:
    """Write a member; members come in the order of their names."""
    file.write(_header(name, size))
    for chunk in chunks:
        file.write(chunk)
    file.write(bytes(-size % _BLOCK))


def end(file: IO[bytes]) -> None:
    """Write what tells a whole file from one that was cut."""
    file.write(_END)


def members(descriptor: int) -> dict[str, Place]:
    """Where each member of an open file lies; `VerificationFailed` unless it is as `write` and `end` write it."""
    total = os.fstat(descriptor).st_size
    found: dict[str, Place] = {}
    at, last = 0, ""
    while True:
        block = os.pread(descriptor, _BLOCK, at)
        if not any(block):
            break
        name, size = _member(block)
        place = Place(at + _BLOCK, size)
        if place.end > total:
            raise refused(f"it was cut: {name} goes on to byte {place.end}, and it has {total} bytes")
        if name <= last:
            raise refused(f"it has {name} twice, or not in its place")
        if any(os.pread(descriptor, _BLOCK, place.at + size)[: -size % _BLOCK]):
            raise refused(f"there is something behind {name}")
        if len(found) == MOST_MEMBERS:
            raise refused(f"it has more than {MOST_MEMBERS} members")
        found[name] = place
        at, last = place.end, name
    _require_end(descriptor, total, at)
    return found


def refused(why: str) -> VerificationFailed:
    """The error for a file that is not as `assay export` writes one."""
    return VerificationFailed(why, "Do not use it: copy it once more, or export the image again.")


def _member(block: bytes) -> tuple[str, int]:
    """The name and the size that a header has, if that is one of ours."""
    if len(block) < _BLOCK:
        raise refused("it was cut in the middle of a header, or is no archive of `assay export`")
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError, OverflowError):
        raise refused("it is damaged, or no archive of `assay export`") from None
    name, size = header.name, header.size
    if header.type in _KINDS:
        raise refused(f"it has a {_KINDS[header.type]} in it, {name[:80]!r}")
    if not _MEMBER.fullmatch(name):
        raise refused(f"it has {name[:80]!r} in it, which is no part of an image")
    if not 0 <= size <= LARGEST_LAYER or _header(name, size) != block:
        raise refused(f"the header of {name} is damaged, or another tool's")
    return name, size


def _header(name: str, size: int) -> bytes:
    header = tarfile.TarInfo(name)
    header.size = size
    return header.tobuf(tarfile.GNU_FORMAT)


def _require_end(descriptor: int, total: int, at: int) -> None:
    if not total:
        raise refused("it is empty")
    if total - at < len(_END):
        raise refused(f"it was cut: its last {len(_END)} bytes are not all there")
    if total - at > len(_END) or any(os.pread(descriptor, len(_END), at)):
        raise refused(f"it goes on behind its end, at byte {at}")
