"""Proves that locks agree with their inputs, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from assay import rootfs
from assay.catalog import Catalog, Image, Pin, check_contains
from assay.catalog.pins import read_pins
from assay.errors import UsageError
from assay.lock.resolve import Result, catalogs, lockable
from assay.lock.text import (
    all_pins,
    changes_between,
    header_for,
    parse_answer,
    pin_lines,
    read_lock,
    requirements_of,
    split_header,
    stacks_below,
    target_of,
)
from assay.lock.uv import resolve


def check(root: Path, names: Iterable[str] = (), *, platform: str | None = None) -> list[Result]:
    """Prove that the locks of these images agree with their inputs, on each platform that they declare.

    With them those of their bases and build tools; nothing is changed. Raises a ``UsageError`` that names every image
    whose lock is not what its inputs give.
    """
    results: list[Result] = []
    problems: list[tuple[str, str]] = []
    for catalog, images in catalogs(root, names, platform):
        results += _checked(catalog, images, problems)
    if problems:
        raise UsageError(
            "; ".join(what for _, what in problems),
            f"Run `assay lock {' '.join(dict.fromkeys(name for name, _ in problems))}`.",
        )
    return results


def _checked(catalog: Catalog, images: Iterable[Image], problems: list[tuple[str, str]]) -> Iterable[Result]:
    """The locks of one platform; what is wrong goes into ``problems``."""
    wanted = set(images)
    wanted |= {below for image in wanted for below in catalog.ancestors(image) if below.suite}
    wanted |= {image.build_tools for image in wanted if image.build_tools}
    for image in lockable(catalog, wanted):
        try:
            if image.suite:
                _check_base(image)
            else:
                _check_wheels(catalog, image)
        except UsageError as error:
            problems.append((image.name, error.what))
        yield Result(image.name, image.lock_path, written=False, changes=(), platform=catalog.platform)


def _check_base(image: Image) -> None:
    """Check that the lock has what a base includes; every build proves that its packages give the locked tar."""
    where = image.lock_shown
    if image.packages_lock is None:
        raise UsageError(f"{where} is missing", "")
    locked = {package.name for package in rootfs.PackagesLock.read(image.packages_lock).packages}
    asked = image.include
    if image.tools:
        asked += (*image.tools.unpack, *(f"{rootfs.SOURCE}{name}" for name in image.tools.sources))
    for name in asked:
        if name not in locked:
            raise UsageError(f"{where}: {name} is to be included, and the lock lacks it", "")


def _check_wheels(catalog: Catalog, image: Image) -> None:
    """Ask the cheap questions first, and the index last."""
    where, path = image.lock_shown, image.lock_path
    if not path.exists():
        raise UsageError(f"{where} is missing", "")
    pins = read_pins(path, shown=where)
    _check_asked(image, pins, where)
    stacks = stacks_below(catalog, image, {})
    for name, text in stacks.items():
        check_contains(image, pins, name, parse_answer(text))
    text = read_lock(path)
    header, body = split_header(text)
    if header != header_for(image, body):
        python, platform = target_of(image)
        raise UsageError(f"{where} was edited, or written for another Python than {python} on {platform}", "")
    answer = parse_answer(resolve(image, stacks, [(pin.name, pin.version) for pin in pins.values()]))
    changes = changes_between(body, pin_lines(answer))
    if changes:
        raise UsageError(f"{where}: its inputs give {', '.join(changes)}", "")
    for name in sorted(pins.keys() - all_pins(stacks).keys()):
        if not set(pins[name].hashes) <= set(answer[name].hashes):
            raise UsageError(f"{where}: {name} {pins[name].version} has a hash that the index does not know", "")


def _check_asked(image: Image, pins: Mapping[str, Pin], where: str) -> None:
    for requirement in requirements_of(image):
        if requirement.marker is not None:
            continue  # uv knows what holds on the image's platform
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None or not requirement.specifier.contains(pin.version, prereleases=True):
            has = f"has {pin.version}" if pin else "lacks it"
            asked = f"{requirement.name}{requirement.specifier}"
            raise UsageError(f"{where}: {asked} is asked for, and the lock {has}", "")
