"""Where a suite's packages come from: the archives in the order in which they are asked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from assay.catalog import Image
from assay.engine import apt
from assay.errors import UsageError
from assay.host import machine

SOURCES = "ASSAY_DEBIAN_SOURCES"
ARCHIVES = "ASSAY_DEBIAN_ARCHIVES"
_OURS = Path(__file__).with_name("archives.toml")
_DEBIANS = {"bullseye", "bookworm", "trixie", "forky", "sid"}


@dataclass(frozen=True)
class Archive:
    """One archive: how it is called in messages, and its lines as in apt's sources.list.

    A ``public`` one is nobody's mirror: it is given up after ten seconds in which nothing answers. A ``past`` one has
    what there was at a time, not what is newest.
    """

    name: str
    lines: tuple[str, ...]
    public: bool = False
    past: bool = False


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    snapshot: tuple[str, ...] = ()
    old: tuple[str, ...] = ()


def mirror(image: Image) -> Archive:
    """Return the archive of today.

    That is what ``ASSAY_DEBIAN_SOURCES`` says, else the host's own mirror. Raises `UsageError` where the host's apt
    names no mirror of Debian, as on another distribution.
    """
    chosen = os.environ.get(SOURCES)
    if chosen:
        return Archive(f"the archive of {SOURCES}", tuple(_for(image, _chosen(Path(chosen), image))))
    lines = _of_host(image)
    if not lines:
        raise UsageError(
            f"this host's apt names no mirror of Debian, and {image.name} is made of Debian's packages",
            f"Write lines for {image.suite} as in apt's sources.list into a file, and name it in {SOURCES}.",
        )
    return Archive("the mirror", lines)


def snapshot(image: Image, resolved: datetime | None) -> Archive | None:
    """Return the archive as it was when a lock was resolved; None without a time, or where none is named."""
    lines = _table().snapshot
    if resolved is None or not lines:
        return None
    return Archive(
        f"the snapshot of {resolved:%Y-%m-%d %H:%M}", _filled(lines, image, resolved), public=True, past=True
    )


def old_releases(image: Image) -> Archive | None:
    """Return the archive of the suites that left the mirrors; None where none is named."""
    lines = _table().old
    return Archive("the archive of old releases", _filled(lines, image), public=True) if lines else None


def _of_host(image: Image) -> tuple[str, ...]:
    codename = apt.host_codename()
    if codename not in _DEBIANS:
        return ()
    pockets = dict.fromkeys(
        (address, pocket.removeprefix(codename))
        for address, pocket, component in sorted(apt.host_sources(), key=lambda row: (row[1] != codename, row))
        if component == "main" and (pocket == codename or pocket.startswith(f"{codename}-"))
    )
    lines = (f"deb {address} {image.suite}{pocket} {_components(image)}" for address, pocket in pockets)
    return _with_sources(lines, image)


def _chosen(path: Path, image: Image) -> tuple[str, ...]:
    """The lines of a sources.list, one-line style, that are for the image's suite."""
    todo = f"Write lines for {image.suite} there, as in apt's sources.list: deb ADDRESS {image.suite} main"
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{SOURCES}: {path} cannot be read: {error}", todo) from None
    fitting = []
    for line in lines:
        found = apt.LINE.fullmatch(line)
        if found and found["suite"].partition("-")[0].partition("/")[0] == image.suite:
            _require_signed(line, f"{SOURCES}: {path}")
            fitting.append(line)
    if not fitting:
        raise UsageError(f"{SOURCES}: {path} has no line for {image.suite}", todo)
    return tuple(fitting)


def _table() -> _Table:
    chosen = os.environ.get(ARCHIVES)
    if chosen == "none":
        return _Table()
    return _read(Path(chosen)) if chosen else _read(_OURS)


def _read(path: Path) -> _Table:
    try:
        table = msgspec.toml.decode(path.read_bytes(), type=_Table)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{ARCHIVES}: {path} cannot be read: {error}",
            "Give it lists `snapshot` and `old` of apt's lines, or `none`.",
        ) from None
    for line in (*table.snapshot, *table.old):
        if not apt.LINE.fullmatch(line):
            raise UsageError(f"{ARCHIVES}: {path}: {line[:80]!r} is no line of a sources.list", "Write deb ADDRESS …")
        _require_signed(line, f"{ARCHIVES}: {path}")
    return table


def _require_signed(line: str, where: str) -> None:
    option = apt.unsigned(line)
    if option:
        raise UsageError(
            f"{where}: the option {option[:80]!r} may let packages in that nobody has signed",
            "Take it out. An archive with a key of its own is named with [signed-by=KEYRING].",
        )


def _filled(lines: Iterable[str], image: Image, resolved: datetime | None = None) -> tuple[str, ...]:
    time = f"{resolved:%Y%m%dT%H%M%SZ}" if resolved else ""
    names = {"{suite}": image.suite or "", "{components}": _components(image), "{time}": time}
    filled = []
    for line in lines:
        for name, value in names.items():
            line = line.replace(name, value)  # noqa: PLW2901 - each name is put into the same line
        filled.append(line)
    return _with_sources(filled, image)


def _with_sources(lines: Iterable[str], image: Image) -> tuple[str, ...]:
    """The lines, and again for source packages where the image asks for some."""
    lines = tuple(_for(image, lines))
    wanted = image.tools is not None and bool(image.tools.sources)
    return (*lines, *(line.replace("deb ", "deb-src ", 1) for line in lines)) if wanted else lines


def _for(image: Image, lines: Iterable[str]) -> Iterable[str]:
    """The lines; for another processor than this machine's they ask for its packages."""
    wanted = image.built_for
    for line in lines:
        found = apt.LINE.fullmatch(line)
        options = (found["options"] or "").split() if found else []
        if found is None or wanted.machine == machine.architecture():
            yield line
        else:
            options = [each for each in options if not each.startswith("arch")] + [f"arch={wanted.architecture}"]
            rest = line[found.start("address") :]
            yield f"deb{found[1] or ''} [{' '.join(options)}] {rest}"


def _components(image: Image) -> str:
    return " ".join(image.tools.components if image.tools else ("main",))
