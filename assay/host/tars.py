"""What a tar of a stranger holds, file by file, and in what two of them differ.

Python's own reader keeps what a header says, reads headers of any size, and takes hours for some of a few megabytes.
So a header is read here: what a layer may have, within bounds.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from assay.errors import VerificationFailed

MOST_ENTRIES = 200_000
LARGEST_NAMES = 40 * 2**20  # bytes of memory that all names take together
LARGEST_HEADER = 2**20  # bytes of what stands before one file
LARGEST_KEPT = 2**24  # bytes of a file whose content is kept
PARTS = ("type", "mode", "owner", "time", "link", "content")

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 2**20
_PLAIN = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE}
_EMPTY = {tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE}
_KINDS = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "hard link"}
_LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
# What an overlay file system takes for its own: another folder in the place of this one, or nothing below it.
_OF_OVERLAYS = ("SCHILY.xattr.trusted.overlay.", "SCHILY.xattr.user.overlay.")
_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ")
_NUMBERS = {
    **dict.fromkeys(("uid", "gid", "size"), re.compile("[0-9]{1,20}")),
    "mtime": re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that is not the same; ``what`` says in what."""

    path: str
    what: str


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a layer. ``kind``: file, folder, link, hard link, other. ``what``: the SHA-256 of a file's content,
    or where a link leads. ``data``: the content, where it was kept.
    """

    path: str
    kind: str
    what: str
    data: bytes = b""


Entry = bytes  # 16 bytes for each of `PARTS`: what a stranger writes there may be long


def entries(chunks: Iterator[bytes]) -> dict[str, Entry]:
    """What a layer's tar holds, by path; all chunks are read. Raises `VerificationFailed` for what is no tar."""
    return {member.name: _entry(member, content) for member, content, _ in _read(chunks, _nothing)}


def members(chunks: Iterator[bytes], kept: Callable[[str], bool]) -> Iterator[Member]:
    """The files of a layer's tar, in their order, with the bytes of those that are kept; raises as `entries`."""
    for member, content, data in _read(chunks, kept):
        if any(name.startswith(_OF_OVERLAYS) for name in member.pax_headers):
            raise VerificationFailed("a layer has attributes by which it is laid in another way", "Do not use it.")
        kind = _KINDS.get(member.type, "file" if member.type in _PLAIN else "other")
        what = member.linkname if kind in {"link", "hard link"} else content.hex() if kind == "file" else ""
        yield Member(member.name, kind, what, data)


def _nothing(_name: str) -> bool:
    return False


def _read(chunks: Iterator[bytes], kept: Callable[[str], bool]) -> Iterator[tuple[tarfile.TarInfo, bytes, bytes]]:
    """Each file's header, the digest of its content, and that content itself where it is to be kept."""
    reader, count, names = Reader(chunks), 0, 0
    try:
        while (member := _next(reader)) is not None:
            keep = member.size <= LARGEST_KEPT and kept(member.name)
            yield (member, *_content(reader, member.size, keep=keep))
            count += 1
            names += sys.getsizeof(member.name)
            if count > MOST_ENTRIES or names > LARGEST_NAMES:
                raise VerificationFailed(
                    f"a layer has more than {MOST_ENTRIES} files, or names of more than {LARGEST_NAMES} bytes",
                    "Nothing of ours is that large: do not use the image.",
                )
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise VerificationFailed(f"a layer is no tar: {error}", "Do not use it.") from None
    for _ in chunks:
        pass


def _next(reader: Reader) -> tarfile.TarInfo | None:
    """The next file's header, with what stands before it in others; None at the end."""
    told: dict[str, str] = {}
    room = LARGEST_HEADER
    while True:
        block = reader.read(_BLOCK)
        if len(block) == _BLOCK and not any(block):
            return None
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if member.size < 0:
            raise ValueError("a size below nothing")
        if member.type in _PLAIN | _EMPTY:
            return _told(member, told)
        room -= member.size + _BLOCK
        if room < 0:
            raise ValueError(f"a header of more than {LARGEST_HEADER} bytes")
        data = _whole(reader, member.size)
        _whole(reader, -member.size % _BLOCK)
        if member.type in _LONG:
            told[_LONG[member.type]] = _text(data.partition(b"\0")[0])
        elif member.type == tarfile.XHDTYPE:
            told |= _records(data)
        else:
            raise ValueError(f"an entry of the type {member.type!r}, which no layer has")


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """The records of an extended header: a length, a space, a name, an equals sign, a value, a line's end."""
    at = 0
    while at < len(data):
        length = _RECORD.match(data, at, at + 9)
        end = at + int(length[1]) if length else 0
        if not length or not length.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise ValueError("an extended header that is malformed")
        name, equals, value = data[length.end() : end - 1].partition(b"=")
        if not equals or name.startswith(b"GNU.sparse"):
            raise ValueError(f"an extended header with {name[:20]!r}")
        yield _text(name), _text(value)
        at = end


def _told(member: tarfile.TarInfo, told: dict[str, str]) -> tarfile.TarInfo:
    """A header, with what extended headers say instead of it."""
    for name in _NUMBERS.keys() & told.keys():
        if not _NUMBERS[name].fullmatch(told[name]):
            raise ValueError(f"{name} is no number")
        setattr(member, name, float(told[name]) if name == "mtime" else int(told[name]))
    member.name = told.get("path", member.name).rstrip("/")
    member.linkname = told.get("linkpath", member.linkname)
    member.pax_headers = told
    if member.type in _EMPTY:
        member.size = 0
    return member


def _content(reader: Reader, size: int, *, keep: bool) -> tuple[bytes, bytes]:
    digest, data, left = hashlib.sha256(), bytearray(), size
    while left:
        piece = _whole(reader, min(left, _PIECE))
        digest.update(piece)
        left -= len(piece)
        if keep:
            data += piece
    _whole(reader, -size % _BLOCK)
    return digest.digest(), bytes(data)


def _entry(member: tarfile.TarInfo, content: bytes) -> Entry:
    owner = (member.uid, member.gid)
    values = (member.type, member.mode, owner, member.mtime, member.linkname, (member.size, content))
    return b"".join(hashlib.blake2b(repr(value).encode(), digest_size=16).digest() for value in values)


def _whole(reader: Reader, size: int) -> bytes:
    data = reader.read(size)
    if len(data) < size:
        raise ValueError("it ends before its end")
    return data


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def differences(theirs: dict[str, Entry], ours: dict[str, Entry]) -> list[Difference]:
    """Return the files that differ, by path, and in what; ``theirs`` are published, ``ours`` rebuilt."""
    found = []
    for path in sorted(theirs.keys() | ours.keys()):
        one, other = theirs.get(path), ours.get(path)
        if one is None or other is None:
            found.append(Difference(path, "only in the rebuilt" if one is None else "only in the published"))
        elif one != other:
            at = {name: slice(16 * number, 16 * number + 16) for number, name in enumerate(PARTS)}
            found.append(Difference(path, ", ".join(name for name in PARTS if one[at[name]] != other[at[name]])))
    return found


class Reader:
    """A file's read() over an iterator of pieces."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = bytearray()

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than ``size`` only at the end."""
        while len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        return taken

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        return
