"""Reads what decides, kept as data so that the host reads the same: gates.json (numbers) and levels.json (what a
level needs, and which check must catch which fault)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smoke import SUITE

FILES = ("gates.json", "levels.json")
SCHEMA = 1


def load(path: Path = SUITE / "gates.json") -> Mapping[str, Any]:
    """The gates by family, or the levels. Raises ValueError for a schema that this suite does not know."""
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if found.get("schema") != SCHEMA:
        raise ValueError("{} has schema {!r}, this suite reads {}".format(path.name, found.get("schema"), SCHEMA))
    return found


def faults() -> set[str]:
    """The faults that every run puts in, whatever its image promises."""
    rows = load(SUITE / "levels.json")["faults"]
    return {row["id"].replace(".{backend}", "") for row in rows if "needs" not in row}


def digest(folder: Path = SUITE) -> str:
    """SHA-256 over both files, in hex: for each, by name, name + NUL + length + NUL + content."""
    found = hashlib.sha256()
    for name in FILES:
        content = (folder / name).read_bytes()
        found.update(name.encode() + b"\0%d\0" % len(content) + content)
    return found.hexdigest()
