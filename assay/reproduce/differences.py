"""Where two images differ: layer by layer, file by file, and in their configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import IO, Any

import msgspec

from assay.catalog import Built
from assay.engine import Engine
from assay.errors import VerificationFailed
from assay.host.tars import Difference, Entry, differences, entries
from assay.registry import LARGEST_CONFIG, OCI_MANIFEST, Descriptor, Manifest, Repository, diff_id, unpacked

MOST_NAMED = 100  # of the files that differ


@dataclass(frozen=True)
class LayerDifference:
    """A layer that is not the same; of its files the first, and how many there are."""

    number: int
    published: str
    rebuilt: str
    count: int
    files: tuple[Difference, ...]


@dataclass(frozen=True)
class Comparison:
    """A rebuilt image, which the engine has under ``name``, to be held against one in a registry."""

    there: Repository
    engine: Engine
    name: str
    made: Built

    def of(self, published: str) -> tuple[tuple[LayerDifference, ...], tuple[str, ...], tuple[int, ...]]:
        """Layers that differ, file by file; parts of the configuration that do; layers that are only recompressed.

        ``published`` is a manifest digest. A layer counts as recompressed if the published one, unpacked here, has
        the DiffID of the rebuilt one: what the published configuration says of it is not believed.
        """
        theirs = self.there.manifest(published).image()
        ours = Manifest(_content(self.engine, self.name, self.made.digest), OCI_MANIFEST).image()
        layers, recompressed = [], []
        for number, (one, other) in enumerate(zip_longest(theirs.layers, ours.layers), 1):
            if one is not None and other is not None and one.digest == other.digest:
                continue
            if one is not None and other is not None and self._content_of(one) == self.made.diff_ids[number - 1]:
                recompressed.append(number)
            else:
                layers.append(self._layer(number, one, other))
        return tuple(layers), self._configuration(theirs.config, ours.config), tuple(recompressed)

    def _content_of(self, layer: Descriptor) -> str:
        return diff_id(self.there.stream(layer), layer.media_type)

    def _configuration(self, theirs: Descriptor, ours: Descriptor) -> tuple[str, ...]:
        if theirs.digest == ours.digest:
            return ()
        published = self.there.blob(theirs, LARGEST_CONFIG)
        parts = tuple(_keys(published, _content(self.engine, self.name, ours.digest)))
        return parts or ("how its JSON is written",)

    def _layer(self, number: int, one: Descriptor | None, other: Descriptor | None) -> LayerDifference:
        theirs = entries(unpacked(self.there.stream(one), one.media_type)) if one else {}
        ours: dict[str, Entry] = {}
        if other:
            for _, file in self.engine.content(self.name, [other.digest]):
                ours = entries(unpacked(_pieces(file), other.media_type))
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
