"""The blobs of an image that the engine has, sent side by side.

Each file is opened, or spooled where the engine can only hand over the whole image, when a thread is free to send it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from assay.engine import Engine, require_whole
from assay.registry import Descriptor, Repository
from assay.registry.side_by_side import AT_ONCE, Sender, Told


def send(
    engine: Engine, name: str, blobs: Iterable[Descriptor], repository: Repository, told: Told, at_once: int = AT_ONCE
) -> None:
    """Send blobs of a local image, the largest first. One that fails ends the others, and its error is raised."""
    sizes = {blob.digest: blob.size for blob in sorted(blobs, key=lambda blob: blob.size, reverse=True)}
    with contextlib.closing(engine.files(name, list(sizes))) as files:
        # The registry also refuses a blob that is damaged here.
        Sender(repository, sizes, files, told, refused=require_whole).send(at_once)
