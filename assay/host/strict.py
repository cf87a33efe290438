"""JSON from a stranger, read so that every reader of it reads the same."""

from __future__ import annotations

import json
from typing import Any


def parsed(data: bytes) -> Any:
    """Decode JSON. Raises `ValueError` for what is none, nests too deep, or names a key twice.

    Of two equal keys one reader takes the first and another the last: what one has checked, the other would not see.
    """
    try:
        return json.loads(data, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it nests too deep") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:40]!r} stands in it twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
