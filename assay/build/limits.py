"""What an image may take of the disk, and how it has to stand on its parent."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.catalog import Built, Image
from assay.engine import Engine
from assay.errors import BuildFailed

SIDE_BY_SIDE = 2  # images that are built at once


@dataclass(frozen=True)
class Factors:
    """What of the disk an image's own layers take, each against their uncompressed size.

    `bench/build.py --cold` prints the estimate beside what it measures: these are set so that it is a little above.
    """

    filled: float = 0.9  # of limits.size_gb, which is an upper bound
    compressed: float = 0.6  # the content, which stays
    unpacked: float = 1.0  # a snapshot, which stays unless the image is packed
    cached: float = 1.0  # the build cache, until it is dropped: with --pack once the image is there
    tar: float = 1.0  # a base's kept tar
    tools_gb: float = 3.0  # build tools: the kept tar, its layout and its snapshot


FACTORS = Factors()


def check_room(engine: Engine, order: Iterable[Image], built: Mapping[str, Built], *, pack: bool) -> None:
    """Refuse to begin what the disk cannot hold; what an image has from its parent is counted there."""
    root = engine.data_root()
    if not engine.is_here or not root.is_dir():
        return  # an engine on another machine
    needed = peak_gb(tuple(order), built, pack=pack)
    free = shutil.disk_usage(root).free / 1e9
    if free < needed:
        raise BuildFailed(
            f"{needed:.0f} GB are needed below {root} and {free:.0f} GB are free",
            "Make room (`assay clean` says what the cache holds), or build fewer images at a time"
            + ("." if pack else ", or with --pack, as `make build-all` does: it takes half the room."),
        )


def peak_gb(order: Sequence[Image], built: Mapping[str, Built], *, pack: bool, factors: Factors = FACTORS) -> float:
    """The most that building ``order`` (parents first) adds to the disk at any time, in GB of 10^9 bytes.

    With ``pack``, what is unpacked is what is in hand: the images that are built at once, and all below them.
    """
    new = [image for image in order if image.name not in built]
    stays = factors.compressed if pack else factors.compressed + factors.unpacked
    own = _own_gb(order, factors)
    kept, most = 0.0, 0.0
    turns = _turns(new)
    for at, turn in enumerate(turns):
        kept += sum(own[image.name] * (stays + (factors.tar if image.suite else 0.0)) for image in turn)
        hand = [image for each in turns[max(0, at + 1 - SIDE_BY_SIDE) : at + 1] for image in each[-1:]]
        tools = factors.tools_gb if any(image.build_tools for image in hand) else 0.0
        below = {name for image in hand for name in _chain(image, order)} if pack else set()
        cached = sum(own[image.name] for image in hand) * factors.cached if pack else 0.0
        most = max(most, kept + cached + sum(own[name] for name in below) * factors.unpacked + tools)
    return most


def _own_gb(order: Sequence[Image], factors: Factors) -> dict[str, float]:
    """What each image takes beyond its parent, unpacked."""
    limits = {image.name: image.size_gb or 0.0 for image in order}
    parents = {image.name: limits.get(image.parent or "", 0.0) for image in order}
    return {name: max(limit - parents[name], 0.0) * factors.filled for name, limit in limits.items()}


def _turns(new: Sequence[Image]) -> list[list[Image]]:
    """The images as they are built, the largest first, each with what it needs and is not there."""
    left = {image.name: image for image in new}
    above = {image.parent for image in new}
    turns = []
    for last in sorted((image for image in new if image.name not in above), key=lambda one: -(one.size_gb or 0.0)):
        turn = [left.pop(name) for name in reversed(_chain(last, new)) if name in left]
        turns.append(turn)
    return turns


def _chain(image: Image, order: Sequence[Image]) -> list[str]:
    """An image and what of ``order`` is below it."""
    known = {one.name: one for one in order}
    names = [image.name]
    while (parent := known[names[-1]].parent) in known:
        names.append(parent)
    return names


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
