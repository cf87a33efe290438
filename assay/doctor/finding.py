"""What is said of a machine, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GIB = 2**30

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One thing of a machine: what there is and, where that is not enough, what to do."""

    id: str
    state: State
    message: str
    remedy: str = ""
