"""The lines of a ``requirements.in`` and of a ``requirements.lock``: exact versions and hashes, and no address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from assay.catalog.files import read_text
from assay.errors import UsageError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|\bfile:/")
_LOCAL_PATH = re.compile(r"""(?:^|[\s='"(@])(?:/|~/|\.{1,2}/|[A-Za-z]:\\)""")
_HASH = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
# A pin as nearly all are written. What it matches means the same to `packaging`, which takes a hundred times as long.
_PLAIN_PIN = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)==([0-9]{1,9}(?:\.[0-9]{1,9}){0,5}(?:\+[a-z0-9]{1,40})?)"
)
_COMMENT = re.compile(r"(?:^|\s)#.*$")


@dataclass(frozen=True)
class Pin:
    """One line of a lock: a distribution, its exact version, and the hashes of its files."""

    name: str
    version: str
    hashes: tuple[str, ...]


def read_pins(lock: Path, shown: str | None = None) -> Mapping[str, Pin]:
    """Read a pip-style lock: every line one exact version with the hashes of its files.

    Errors name the file as ``shown`` where it is given.
    """
    return parse_pins(read_text(lock, shown or str(lock)), shown or str(lock))


def parse_pins(text: str, shown: str) -> Mapping[str, Pin]:
    """Read the text of a lock as `read_pins` does."""
    _check_no_address(text, shown)
    pins: dict[str, Pin] = {}
    for number, line in _logical_lines(text):
        pin = _pin(line, f"{shown}:{number}")
        if pin.name in pins:
            raise UsageError(f"{shown}:{number}: {pin.name} stands twice", "Write the lock with `assay lock`.")
        pins[pin.name] = pin
    return MappingProxyType(pins)


def requirements(source: Path, shown: str | None = None) -> tuple[Requirement, ...]:
    """Read a ``requirements.in``: requirements and comments; options and addresses have no place in it."""
    shown = shown or str(source)
    text = read_text(source, shown)
    _check_no_address(text, shown)
    todo = "Write one requirement a line, such as NAME==VERSION."
    return tuple(parse_requirement(line, f"{shown}:{number}", todo) for number, line in _logical_lines(text))


def _pin(line: str, where: str) -> Pin:
    todo = "Write the lock with `assay lock`."
    text, *hashes = re.split(r"\s+--hash(?:=|\s+)", line)
    hashes = [value.strip() for value in hashes]
    plain = _PLAIN_PIN.fullmatch(text)
    name, exact = plain.groups() if plain else _name_and_version(text, where, todo)
    if not hashes:
        raise UsageError(f"{where}: {name} has no hash", todo)
    for value in hashes:
        if not _HASH.fullmatch(value):
            raise UsageError(f"{where}: {name}: {value[:80]!r} is no hash", todo)
    return Pin(canonicalize_name(name), exact, tuple(sorted(set(hashes))))


def _name_and_version(text: str, where: str, todo: str) -> tuple[str, str]:
    """Return the name and the exact version of whatever may stand in a lock."""
    requirement = parse_requirement(text, where, todo)
    specifiers = list(requirement.specifier)
    if len(specifiers) != 1 or specifiers[0].operator != "==" or specifiers[0].version.endswith(".*"):
        raise UsageError(f"{where}: {requirement.name} has no exact version", todo)
    if requirement.marker is not None:
        raise UsageError(
            f"{where}: {requirement.name} has a condition, but a lock is for one Python on one platform", todo
        )
    return requirement.name, specifiers[0].version


def parse_requirement(text: str, where: str, todo: str) -> Requirement:
    """Return one requirement; `UsageError`, of ``where`` and ``todo``, for anything else and for an address."""
    try:
        requirement = Requirement(text)
        for specifier in requirement.specifier:
            Version(specifier.version.removesuffix(".*"))  # no "===", and no version of thousands of digits
    except (ValueError, RecursionError):
        raise UsageError(f"{where}: {text.strip()[:80]!r} is no requirement", todo) from None
    if requirement.url is not None:
        raise UsageError(f"{where}: {requirement.name} comes from an address", todo)
    return requirement


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines that say something, continuations joined, each with the number that it starts at."""
    lines: list[tuple[int, str]] = []
    begun: tuple[int, str] | None = None
    for number, raw in enumerate(text.split("\n"), start=1):
        line = _COMMENT.sub("", raw).rstrip() if "#" in raw else raw.rstrip()
        start, before = begun or (number, "")
        begun = (start, before + line[:-1].strip() + " ") if line.endswith("\\") else None
        if begun is None and (before + line).strip():
            lines.append((start, (before + line).strip()))
    if begun is not None and begun[1].strip():
        lines.append((begun[0], begun[1].strip()))
    return lines


def _check_no_address(text: str, shown: str) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        if "/" not in line and ":\\" not in line:
            continue  # it has neither, and the two searches below take longer
        if _ADDRESS.search(line) or _LOCAL_PATH.search(line):
            raise UsageError(
                f"{shown}:{number}: records an address or a path of one machine",
                "Remove it; the index is named by the configuration of uv or pip on each machine.",
            )
