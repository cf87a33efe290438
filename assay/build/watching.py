"""What a build is told to do, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from assay.errors import AssayError
from assay.images import Built


class View(Protocol):
    """What a build tells whoever watches it; calls come from several threads."""

    def start(self, name: str) -> None:
        """An image's turn has come."""

    def step(self, name: str, text: str) -> None:
        """What is being done for it."""

    def done(self, name: str, built: Built, fresh: bool) -> None:
        """It is there; ``fresh`` if this run built it."""

    def failed(self, name: str, error: AssayError | None) -> None:
        """It could not be built; without an error, because its parent was not."""


@dataclass(frozen=True)
class Options:
    """How to build. ``suffix`` sets the names of a trial build apart; it leaves no trace in images.json.

    Without the cache the base is bootstrapped anew too, unless ``keep_base``. With ``pack`` the embedded engine holds
    framework images compressed only, from when they are built to when they are run.
    """

    no_cache: bool = False
    keep_base: bool = False
    pack: bool = False
    suffix: str = ""
