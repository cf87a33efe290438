"""What a scan lets pass: each with its reason, and the day on which somebody has to look again."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from assay.errors import UsageError

_TODO = "Write tables [[allow]] with id, why and until, and package where only that one is meant."
_Line = Annotated[str, msgspec.Meta(pattern=r"^\S([^\r\n]*\S)?\Z", max_length=256)]


class Allowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An advisory, by its id or an alias, that is let pass up to and with the day ``until``."""

    id: _Line
    why: _Line
    until: datetime.date
    package: _Line | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    allow: tuple[Allowed, ...] = ()


def allowed(path: Path) -> tuple[Allowed, ...]:
    """Read a list of what is let pass. Raises `UsageError` for what is none, or lacks a reason or a day."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=_File).allow
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", _TODO) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no list of what is allowed: {error}", _TODO) from None
