"""What preflight looks at and what it says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: ``state`` is ok, warn or fail, ``facts`` the numbers behind the message."""

    id: str
    state: str
    message: str
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Promise:
    """What the image says of itself, and which device it is to be used on.

    ``compiles`` is true if the framework compiles at run time into libraries, which it then loads from files.
    """

    image: str
    cuda: str
    device: str
    compiles: bool = False
