"""How names and versions of distributions are compared. Standard library only."""

from __future__ import annotations

import re


def normal_name(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def normal_version(version: str) -> str:
    """A version without leading zeros, which locks drop and metadata keep (2026.07.04 and 2026.7.4 are one)."""
    parts = version.lower().split(".")
    return ".".join(str(int(part)) if part.isdigit() else part for part in parts)
