"""Publish certified images in a registry: the image and what is attached to it first, its tags last.

`candidates` says which images may be published; `publish` sends them, and leaves what is there already.
"""

from assay.publish.candidates import Candidate, Refused, candidates, require_none_refused
from assay.publish.images import Destination, Published, Signers, publish, row, source_commit
from assay.publish.push import attach
from assay.registry import View

__all__ = [
    "Candidate",
    "Destination",
    "Published",
    "Refused",
    "Signers",
    "View",
    "attach",
    "candidates",
    "publish",
    "require_none_refused",
    "row",
    "source_commit",
]
