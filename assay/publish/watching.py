"""Who watches a publication."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class View(Protocol):
    """What publishing tells whoever watches it. ``gone`` and ``sent`` come from several threads."""

    def phase(self, image: str, text: str) -> None:
        """Another phase of an image begins: asking the registry, sending, certificates, tags."""

    def sending(self, image: str, sizes: Mapping[str, int]) -> None:
        """These blobs of it are to be sent: their bytes by digest."""

    def gone(self, image: str, digest: str, count: int) -> None:
        """So many bytes of a blob have gone."""

    def sent(self, image: str, digest: str) -> None:
        """The registry has the whole blob."""
