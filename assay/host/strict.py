"""JSON from a stranger, read so that every reader of it reads the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec


def parsed(data: bytes) -> Any:
    """Decode JSON. Raises `ValueError` for what is none, nests too deep, or names a key twice.

    Of two equal keys one reader takes the first and another the last: what one has checked, the other would not see.
    Python's own reader also takes what no other does, and what cannot be written again: numbers beyond all bounds,
    halves of characters. So msgspec reads it first.
    """
    try:
        msgspec.json.decode(data)
        return json.loads(data, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it nests too deep") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()  # to count each name anew would take hours of a few megabytes
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the key {name[:40]!r} stands in it twice")
            seen.add(name)
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
