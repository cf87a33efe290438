"""Reads gates.json: the numbers that decide, kept as data so that the host reads the same ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PATH = Path(__file__).resolve().parent / "gates.json"
SCHEMA = 1


def load(path: Path = PATH) -> Mapping[str, Any]:
    """The gates by family. Raises ValueError for a schema that this suite does not know."""
    gates: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if gates.get("schema") != SCHEMA:
        raise ValueError("gates.json has schema {!r}, this suite reads {}".format(gates.get("schema"), SCHEMA))
    return gates
