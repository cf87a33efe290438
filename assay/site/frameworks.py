"""How a framework looks: its title, its colour by light and in the dark, and its mark."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

Mark = Literal["circle", "square", "diamond", "triangle", "triangle-down", "cross", "plus", "ring"]
_TABLE = Path(__file__).with_name("frameworks.toml")


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a framework looks. ``last_release``: it has had its last one, and is shown as of that."""

    title: str
    light: str
    dark: str
    mark: Mark
    last_release: bool = False


@functools.cache
def looks() -> Mapping[str, Look]:
    """The looks by the names of the frameworks' files."""
    return msgspec.toml.decode(_TABLE.read_bytes(), type=dict[str, Look])


def look(framework: str) -> Look:
    """The look of a framework; grey and a ring for one that has none of its own."""
    return looks().get(framework) or Look(framework, "#6b6b6b", "#a0a0a0", "ring")


def style_of(framework: str) -> str:
    """The class that gives an element the framework's colour."""
    return f"fw-{framework}" if framework in looks() else "fw-other"
