"""What a GPU's name says where the driver says no more: its compute capability, and an Arm processor beside it."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from assay.doctor.cuda import Capability, Code

_TABLE = Path(__file__).with_name("gpus.toml")
_BRANDS = {"NVIDIA", "GEFORCE", "TESLA", "GRID"}
CUT = "..."  # what nvidia-smi's table ends a name with that does not fit

Words = tuple[str, ...]


def capability(name: str) -> Capability | None:
    """The compute capability of a GPU of this name; None for a name that is not known, or cut off too early."""
    table = _capabilities()
    found = {table[entry] for entry in _entries(name, table)}
    return found.pop() if len(found) == 1 else None


def on_arm(name: str) -> bool:
    """Whether a machine with a GPU of this name is aarch64 without a doubt."""
    words = _words(name)
    return any(words[: len(entry)] == entry for entry in _arm64())


def listed() -> Mapping[str, Sequence[str]]:
    """The GPUs of the table by their compute capability, the newest first; those beside an Arm processor too."""
    found: Mapping[str, Sequence[str]] = tomllib.loads(_TABLE.read_text())["capabilities"]
    return found


def _entries(name: str, table: Mapping[Words, Capability]) -> set[Words]:
    """The entries that a name stands for: one at most, unless the name is cut off."""
    whole = not name.endswith(CUT)
    words = _words(name.removesuffix(CUT))
    rest = "" if whole or name.removesuffix(CUT)[-1:].isspace() or not words else words[-1]
    known = words[: len(words) - bool(rest)]
    begun = [known[:length] for length in range(len(known), 0, -1) if known[:length] in table][:1]
    if whole:
        return set(begun)
    there = len(known)
    return {*begun, *(e for e in table if len(e) > there and e[:there] == known and e[there].startswith(rest))}


def _words(name: str) -> Words:
    words = [word for word in re.split(r"[\s()-]+", name.upper()) if word]
    while words and words[0] in _BRANDS:
        del words[0]
    return tuple(words)


@functools.cache
def _capabilities() -> Mapping[Words, Capability]:
    listed = tomllib.loads(_TABLE.read_text())["capabilities"]
    return {_words(name): Code.parse(text).capability for text, names in listed.items() for name in names}


@functools.cache
def _arm64() -> frozenset[Words]:
    return frozenset(map(_words, tomllib.loads(_TABLE.read_text())["arm64"]))
