"""What two builds of one image amount to: configuration and DiffIDs are what it is, the manifest is how it is packed.

Engines compress differently, so that the same files can come out under another manifest digest. That is no difference
in the image: whoever unpacks it gets the same bits.
"""

from __future__ import annotations

from enum import Enum


class Sameness(Enum):
    """How much of two builds is the same; the values are what ``--json`` says."""

    SAME = "same"
    COMPRESSED_DIFFERENTLY = "same; compressed differently"
    DIFFERENT = "different"

    @property
    def holds(self) -> bool:
        """Whether both hold the same files and the same configuration."""
        return self is not Sameness.DIFFERENT


def sameness(*, manifests: bool, content: bool) -> Sameness:
    """Judge whether the manifest digests are equal, and whether configuration and DiffIDs are."""
    if not content:
        return Sameness.DIFFERENT
    return Sameness.SAME if manifests else Sameness.COMPRESSED_DIFFERENTLY
