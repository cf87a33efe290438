"""Advisories as OSV writes them (ossf.github.io/osv-schema), one a file; and whether one is about a version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from assay.errors import UsageError
from assay.scan.versions import DEBIAN, PYPI, parsed

LARGEST = 8 * 2**20
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class _Event(msgspec.Struct, frozen=True):
    introduced: _Text | None = None
    fixed: _Text | None = None
    last_affected: _Text | None = None
    limit: _Text | None = None


class _Range(msgspec.Struct, frozen=True):
    type: _Text
    events: tuple[_Event, ...]


class _Package(msgspec.Struct, frozen=True):
    ecosystem: _Text
    name: _Text


class _Affected(msgspec.Struct, frozen=True):
    package: _Package | None = None
    ranges: tuple[_Range, ...] = ()
    versions: tuple[_Text, ...] = ()


class _File(msgspec.Struct, frozen=True):
    id: _Text
    modified: _Text
    summary: str = ""
    aliases: tuple[_Text, ...] = ()
    withdrawn: _Text | None = None
    affected: tuple[_Affected, ...] = ()


@dataclass(frozen=True)
class Affected:
    """One package that an advisory is about: in which releases of its ecosystem, and in which versions.

    ``ecosystem`` is PyPI or Debian; ``release`` is Debian's number, empty for all of them. ``events`` are (kind,
    version) pairs in the order of the versions.
    """

    ecosystem: str
    release: str
    name: str
    ranges: tuple[tuple[tuple[str, str], ...], ...]
    versions: frozenset[str]

    def holds(self, version: str) -> bool:
        """Whether a version is affected, by OSV's rule. Raises `ValueError` for what is no version."""
        return version in self.versions or any(self._in(version, events) for events in self.ranges)

    def fixed_for(self, version: str) -> str:
        """The least version above this one that is said to be mended; empty where none is."""
        have = parsed(self.ecosystem, version)
        later = [to for events in self.ranges for kind, to in events if kind == "fixed"]
        later = [to for to in later if parsed(self.ecosystem, to) > have]
        return min(later, key=lambda to: parsed(self.ecosystem, to), default="")

    def _in(self, version: str, events: tuple[tuple[str, str], ...]) -> bool:
        have, inside = parsed(self.ecosystem, version), False
        for kind, at in events:
            if kind == "introduced" and at == "0":
                inside = True
                continue
            there = parsed(self.ecosystem, at)
            if have > there or (have == there and kind != "last_affected"):
                inside = kind == "introduced"
        return inside


@dataclass(frozen=True)
class Advisory:
    """What is wrong with some versions of some packages; ``aliases`` are its names elsewhere, such as CVE numbers."""

    id: str
    aliases: tuple[str, ...]
    summary: str
    affected: tuple[Affected, ...]

    @property
    def names(self) -> frozenset[str]:
        """All that it is called."""
        return frozenset({self.id, *self.aliases})


def advisories(folder: Path) -> list[Advisory]:
    """Read each ``*.json`` below a folder, but for those that were withdrawn.

    Raises `UsageError`, with its name, for a file that is no advisory, and where there is none at all.
    """
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise UsageError(f"{folder} holds no advisory", "Unpack a database of advisories in OSV's format there.")
    return [found for path in paths if (found := _read(path))]


def _read(path: Path) -> Advisory | None:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST)
        told = msgspec.json.decode(data, type=_File)
        affected = tuple(_affected(one) for one in told.affected if _is_ours(one.package))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "Make it a file that you may read.") from None
    except (ValueError, RecursionError) as error:  # what msgspec raises is one
        todo = "Fetch it again, or remove it: nothing is passed by for an advisory that cannot be read."
        raise UsageError(f"{path} is no advisory in OSV's format: {error}", todo) from None
    return None if told.withdrawn else Advisory(told.id, told.aliases, told.summary.strip(), affected)


def _is_ours(package: _Package | None) -> bool:
    return package is not None and package.ecosystem.partition(":")[0] in {PYPI, DEBIAN}


def _affected(one: _Affected) -> Affected:
    assert one.package is not None  # noqa: S101 - `_is_ours` asked
    ecosystem, _, release = one.package.ecosystem.partition(":")
    ranges = tuple(tuple(_events(each, ecosystem)) for each in one.ranges if each.type in {"ECOSYSTEM", "SEMVER"})
    return Affected(ecosystem, release, one.package.name, ranges, frozenset(one.versions))


def _events(one: _Range, ecosystem: str) -> Iterator[tuple[str, str]]:
    """The events of a range in the order of their versions; where one ends and begins at once, it begins last."""
    found = []
    for event in one.events:
        told = [(name, at) for name in event.__struct_fields__ if (at := getattr(event, name)) is not None]
        if len(told) != 1:
            raise ValueError(f"an event says {len(told)} things at once")
        found += [each for each in told if each[0] != "limit"]
    if not any(kind == "introduced" for kind, _ in found):
        raise ValueError("a range begins nowhere")
    begin = [each for each in found if each == ("introduced", "0")]
    rest = [each for each in found if each != ("introduced", "0")]
    yield from begin
    yield from sorted(rest, key=lambda each: (parsed(ecosystem, each[1]), each[0] == "introduced"))
