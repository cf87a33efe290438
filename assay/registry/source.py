"""What whoever verifies or copies an image reads it from: a repository, or a file that has all of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from assay.registry.content import LARGEST_MANIFEST, Descriptor, Manifest
from assay.registry.reference import Reference


class Source(Protocol):
    """Where an image is, with what is attached to it; `Repository` says what each function does and raises."""

    @property
    def reference(self) -> Reference:
        """What the image is called there."""

    def manifest(self, wanted: str | None = None, limit: int = LARGEST_MANIFEST) -> Manifest:
        """A manifest by tag or digest (default: the reference's own)."""

    def referrers(self, digest: str) -> tuple[Descriptor, ...]:
        """What is attached to a digest."""

    def size(self, digest: str) -> int | None:
        """How many bytes a blob has; None where there is none."""

    def blob(self, descriptor: Descriptor, limit: int) -> bytes:
        """A small blob, whole."""

    def stream(self, descriptor: Descriptor) -> Iterator[bytes]:
        """A blob of any size, in pieces."""
