"""Which files of the smoke suite an image carries, and which of them its certificate depends on.

The suite computes the same inside the image, in smoke/suite.py. Both read smoke/suite.json, and a test holds them
equal.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from assay.errors import UsageError
from assay.host import files


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``suite.json``: the folders that have a file for each framework, and what no certifying run uses (files, or
    folders of them).
    """

    schema: int
    by_framework: tuple[str, ...]
    outside: tuple[str, ...]


def carried(folder: Path, framework: str) -> list[Path]:
    """The suite's files but for byte code and other frameworks' files, in the order of their POSIX paths."""
    return list(_carried(folder, framework, _table(folder)).values())


def outside(folder: Path, framework: str) -> list[Path]:
    """Those of the carried files that no certificate depends on."""
    table = _table(folder)
    return [path for name, path in _carried(folder, framework, table).items() if _is_outside(name, table)]


def digest(folder: Path, framework: str) -> str:
    """SHA-256 over the files that a certificate depends on: for each, path + NUL + length + NUL + content."""
    table = _table(folder)
    found = hashlib.sha256()
    for name, path in _carried(folder, framework, table).items():
        if not _is_outside(name, table):
            content = path.read_bytes()
            found.update(name.encode() + b"\0%d\0" % len(content) + content)
    return found.hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """The digest for each framework that the suite has a file of."""
    places = folder / _table(folder).by_framework[0]
    names = sorted(path.stem for path in places.glob("*.py") if not path.stem.startswith("_"))
    return {name: digest(folder, name) for name in names}


def declaring(folder: Path, framework: str) -> tuple[Path, ...]:
    """A framework's files in the suite, which declare what it can: of training, of everyday work, and of ranks."""
    return tuple(folder / place / f"{framework}.py" for place in _table(folder).by_framework)


def _table(folder: Path) -> _Table:
    path = folder / "suite.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Table)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "Restore it from the repository.") from error


def _carried(folder: Path, framework: str, table: _Table) -> dict[str, Path]:
    """The same by their POSIX paths."""
    return {
        name: path
        for name, path in files.below(folder).items()
        if not name.endswith(".pyc") and _is_for(name, table.by_framework, framework)
    }


def _is_outside(name: str, table: _Table) -> bool:
    return any(name == one or name.startswith(f"{one}/") for one in table.outside)


def _is_for(name: str, places: tuple[str, ...], framework: str) -> bool:
    """False for what belongs to another framework. What begins with an underscore belongs to all of them."""
    place, _, rest = name.partition("/")
    if place not in places:
        return True
    entry = rest.split("/")[0]
    if entry.startswith("_"):
        return True
    if entry.endswith(".py"):
        return entry == f"{framework}.py"
    return entry.split(".")[0] == framework or entry.startswith(f"{framework}_")
