"""The text of a lock: its header, the pins in it, and what changed between two of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import Requirement

from assay.catalog import Catalog, Image, Pin
from assay.catalog.files import IMAGES
from assay.catalog.pins import parse_pins, read_pins, requirements
from assay.errors import UsageError


def header_for(image: Image, body: str) -> str:
    """Return the lines that name the command and hold the hash of the body, so that an edit by hand is seen."""
    python, platform = target_of(image)
    digest = hashlib.sha256(body.encode()).hexdigest()
    return (
        f"# Written by `assay lock {image.name}` from requirements.in; do not edit.\n"
        f"# For Python {python} on {platform}. The lines below: sha256 {digest}\n"
    )


def split_header(text: str) -> tuple[str, str]:
    """Return the header of a lock, and its body."""
    lines = text.splitlines(keepends=True)
    return "".join(lines[:2]), "".join(lines[2:])


def target_of(image: Image) -> tuple[str, str]:
    """Return the Python version and the platform that an image is locked for; `UsageError` if one is not set."""
    python = image.labels.get("python")
    if python is None or not re.fullmatch(r"\d+\.\d+", python):
        raise UsageError(
            f"{image.name}: labels.python is not set to a version such as 3.13, neither in it nor below it",
            f"Set labels.python in {IMAGES}/{image.name}/image.toml or in that of its base.",
        )
    if image.platform is None:
        raise UsageError(f"{image.name}: no base below it has a platform", "Set base.platform in its base.")
    return python, image.platform


def requirements_of(image: Image) -> tuple[Requirement, ...]:
    """Return what an image's requirements.in asks for; `UsageError` if it holds anything else than requirements."""
    if image.requirements is None:
        return ()
    return requirements(image.requirements, shown=f"{IMAGES}/{image.name}/requirements.in")


def stacks_below(catalog: Catalog, image: Image, fresh: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each lock below an image, by name; a ``fresh`` one comes before the one on disk."""
    texts: dict[str, str] = {}
    for below in catalog.ancestors(image):
        if below.name in fresh:
            texts[below.name] = fresh[below.name]
        elif below.lock is not None:
            read_pins(below.lock, shown=below.lock_shown)
            texts[below.name] = below.lock.read_text("utf-8")
    return texts


def all_pins(stacks: Mapping[str, str]) -> dict[str, Pin]:
    """Return the pins of several locks, by name."""
    return {name: pin for text in stacks.values() for name, pin in parse_answer(text).items()}


def pin_lines(pins: Mapping[str, Pin]) -> str:
    """Return pins as the lines of a lock, one to a package."""
    return "".join(f"{pin.name}=={pin.version} --hash={' --hash='.join(pin.hashes)}\n" for pin in pins.values())


def parse_answer(text: str) -> Mapping[str, Pin]:
    """Return the pins that uv wrote."""
    return parse_pins(text, "the answer of uv")


def pins_in(text: str) -> dict[str, str]:
    """Return versions by name, even from a damaged lock: a merge's conflict marks must not lose them all."""
    return dict(re.findall(r"^([A-Za-z0-9][A-Za-z0-9.+_-]*)==?([A-Za-z0-9.:!+~_-]+)", text, re.MULTILINE))


def changes_between(old: str, new: str) -> tuple[str, ...]:
    """Return what changed from one lock to another, each pin as "six 1.16.0 -> 1.17.0"."""
    before, after = pins_in(old), pins_in(new)
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return tuple(f"{name} {before.get(name, 'absent')} -> {after.get(name, 'absent')}" for name in names)


def read_lock(path: Path) -> str:
    """Return the text of a lock; empty if there is none."""
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
