"""What an image may take of the disk, and how it has to stand on its parent."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from assay.catalog import Built, Image
from assay.engine import Engine
from assay.errors import BuildFailed

# Content and snapshot of an image, against its uncompressed size: measured 1.55 for PyTorch.
ROOM_FACTOR = 1.6
# The content alone, which is all that is kept of a framework image that is packed.
PACKED_FACTOR = 0.6


def check_room(engine: Engine, order: Iterable[Image], built: Mapping[str, Built], *, pack: bool) -> None:
    """Refuse to begin what the disk cannot hold; what an image has from its parent is counted there."""
    root = engine.data_root()
    if not root.is_dir():
        return  # an engine on another machine
    limits = {image.name: image.size_gb or 0.0 for image in order}
    needed = 0.0
    for image in order:
        if image.name not in built:
            own = limits[image.name] - limits.get(image.parent or "", 0.0)
            needed += max(own, 0.0) * (PACKED_FACTOR if pack and image.framework else ROOM_FACTOR) * 1e9
    free = shutil.disk_usage(root).free
    if free < needed:
        raise BuildFailed(
            f"{needed / 1e9:.0f} GB are needed below {root} and {free / 1e9:.0f} GB are free",
            "Make room (`assay engine prune` drops the build cache), or build fewer images at a time"
            + ("." if pack else ", or with --pack, as `make build-all` does: it takes half the room."),
        )


def check_built(root: Path, image: Image, built: Built, parent: Built | None) -> None:
    """Raise `BuildFailed` unless the image stands on its parent's layers and keeps to its limit."""
    if parent and built.diff_ids[: len(parent.diff_ids)] != parent.diff_ids:
        raise BuildFailed(
            f"{image.name} does not stand on {image.parent}: its lowest layers are others",
            f"Begin {image.dockerfile.relative_to(root)} with ARG PARENT and FROM ${{PARENT}}.",
        )
    if image.size_gb and built.uncompressed_bytes > image.size_gb * 1e9:
        raise BuildFailed(
            f"{image.name} takes {built.uncompressed_bytes / 1e9:.1f} GB, and its limit is {image.size_gb:g} GB",
            "Find what grew with `docker history`, or raise limits.size_gb in its image.toml.",
        )
