"""What a tar holds, file by file, and in what two of them differ."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

from assay.errors import VerificationFailed

MOST_ENTRIES = 2_000_000


@dataclass(frozen=True)
class Difference:
    """A file that is not the same; ``what`` says in what."""

    path: str
    what: str


Entry = tuple[tuple[str, object], ...]


def entries(chunks: Iterator[bytes]) -> dict[str, Entry]:
    """What a layer's tar holds, by path. Raises `VerificationFailed` for what is no tar."""
    found: dict[str, Entry] = {}
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", Reader(chunks)), mode="r|") as archive:
            for member in archive:
                found[member.name] = _entry(archive, member)
                archive.members = []  # type: ignore[attr-defined] # or it would keep them all
                if len(found) > MOST_ENTRIES:
                    raise VerificationFailed(f"a layer has more than {MOST_ENTRIES} files", "Do not use it.")
    except (tarfile.TarError, UnicodeError, OverflowError) as error:
        raise VerificationFailed(f"a layer is no tar: {error}", "Do not use it.") from None
    return found


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    digest = hashlib.sha256()
    stream = archive.extractfile(member) if member.isreg() else None
    while stream and (piece := stream.read(2**20)):
        digest.update(piece)
    return (
        ("type", member.type),
        ("mode", member.mode),
        ("owner", (member.uid, member.gid)),
        ("time", member.mtime),
        ("link", member.linkname),
        ("content", (member.size, digest.hexdigest())),
    )


def differences(theirs: dict[str, Entry], ours: dict[str, Entry]) -> list[Difference]:
    """Return the files that differ, by path, and in what; ``theirs`` are published, ``ours`` rebuilt."""
    found = []
    for path in sorted(theirs.keys() | ours.keys()):
        one, other = theirs.get(path), ours.get(path)
        if one is None or other is None:
            found.append(Difference(path, "only in the rebuilt" if one is None else "only in the published"))
        elif one != other:
            what = [name for (name, value), (_, another) in zip(one, other, strict=True) if value != another]
            found.append(Difference(path, ", ".join(what)))
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
