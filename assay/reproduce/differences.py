"""Where two images differ: layer by layer, file by file, and in their configuration."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import IO, Any, cast

import msgspec

from assay import verify
from assay.engine import Engine
from assay.errors import VerificationFailed
from assay.registry import LARGEST_CONFIG, OCI_MANIFEST, Descriptor, Manifest, Repository

MOST_NAMED = 100  # of the files that differ
MOST_ENTRIES = 2_000_000


@dataclass(frozen=True)
class Difference:
    """A file that is not the same; ``what`` says in what."""

    path: str
    what: str


@dataclass(frozen=True)
class LayerDifference:
    """A layer that is not the same; of its files the first, and how many there are."""

    number: int
    published: str
    rebuilt: str
    count: int
    files: tuple[Difference, ...]


def compared(
    published: str, rebuilt: str, there: Repository, engine: Engine, name: str
) -> tuple[tuple[LayerDifference, ...], tuple[str, ...]]:
    """The rebuilt image held against the published one: its layers, file by file, and its configuration."""
    theirs = there.manifest(published).image()
    ours = Manifest(_content(engine, name, rebuilt), OCI_MANIFEST).image()
    layers = []
    for number, (one, other) in enumerate(zip_longest(theirs.layers, ours.layers), 1):
        if one is None or other is None or one.digest != other.digest:
            layers.append(_layer(number, one, other, there, engine, name))
    configurations = (there.blob(theirs.config, LARGEST_CONFIG), _content(engine, name, ours.config.digest))
    return tuple(layers), tuple(_keys(*configurations))


def _layer(
    number: int, one: Descriptor | None, other: Descriptor | None, there: Repository, engine: Engine, name: str
) -> LayerDifference:
    theirs = entries(verify.unpacked(there.stream(one), one.media_type)) if one else {}
    ours: dict[str, Entry] = {}
    if other:
        for _, file in engine.content(name, [other.digest]):
            ours = entries(verify.unpacked(_pieces(file), other.media_type))
    files = differences(theirs, ours)
    return LayerDifference(
        number=number,
        published=one.digest if one else "",
        rebuilt=other.digest if other else "",
        count=len(files),
        files=tuple(files[:MOST_NAMED]),
    )


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(2**20):
        yield piece


def _content(engine: Engine, name: str, digest: str) -> bytes:
    ((_, data),) = [(one, file.read()) for one, file in engine.content(name, [digest])]
    return data


def _keys(one: bytes, other: bytes) -> Iterator[str]:
    """The parts of an image's configuration that differ: config.Env, history."""
    first, second = (_flat(data) for data in (one, other))
    yield from sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def _flat(data: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise VerificationFailed(f"the image's configuration is malformed: {error}", "Do not use it.") from None
    inner = content.pop("config", None)
    settings = {f"config.{name}": value for name, value in inner.items()} if isinstance(inner, dict) else {}
    return {**content, **settings}


Entry = tuple[tuple[str, object], ...]


def entries(chunks: Iterator[bytes]) -> dict[str, Entry]:
    """What a layer's tar holds, by path. Raises `VerificationFailed` for what is no tar."""
    found: dict[str, Entry] = {}
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", _Reader(chunks)), mode="r|") as archive:
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
    """The files that differ, by path, and in what."""
    found = []
    for path in sorted(theirs.keys() | ours.keys()):
        one, other = theirs.get(path), ours.get(path)
        if one is None or other is None:
            found.append(Difference(path, "only in the rebuilt" if one is None else "only in the published"))
        elif one != other:
            what = [name for (name, value), (_, another) in zip(one, other, strict=True) if value != another]
            found.append(Difference(path, ", ".join(what)))
    return found


class _Reader:
    """A file's read() over an iterator of pieces."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = bytearray()

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        return taken
