"""Whether the locks agree: each with its requirements and sources, and with the lock of every stack below it."""

from __future__ import annotations

from collections.abc import Mapping

from assay.catalog.files import IMAGES, relative, toml_of
from assay.catalog.image import Catalog, Image
from assay.catalog.pins import Pin, read_pins, requirements
from assay.catalog.platforms import PLATFORMS
from assay.errors import UsageError

# What builds an sdist that has no pyproject.toml. They come as wheels, from the same lock.
SDIST_BUILDERS = ("setuptools", "wheel")


def agreed_pins(catalog: Catalog) -> dict[str, Mapping[str, Pin]]:
    """Return the pins of each image's lock, none for an image without one; `UsageError` if locks disagree."""
    pins = {image.name: _own_pins(catalog, image) for image in catalog.images.values()}
    for image in catalog.images.values():
        for below in catalog.ancestors(image):
            if image.lock and below.lock:
                check_contains(image, pins[image.name], below.name, pins[below.name])
    return pins


def _own_pins(catalog: Catalog, image: Image) -> Mapping[str, Pin]:
    for platform in image.platforms if image.requirements else ():
        lock = image.folder / PLATFORMS[platform].lock("requirements")
        if not lock.exists():
            raise UsageError(f"{relative(lock, catalog.root)} is missing", f"Run `assay lock {image.name}`.")
    if image.lock and not image.requirements:
        raise UsageError(f"{image.lock_shown} has no requirements.in beside it", "Say there what it is for.")
    if image.requirements:
        requirements(image.requirements, relative(image.requirements, catalog.root))
    pins = read_pins(image.lock, relative(image.lock, catalog.root)) if image.lock else {}
    _check_sources(image, pins)
    _check_first(image, pins)
    return pins


def _check_sources(image: Image, pins: Mapping[str, Pin]) -> None:
    """Hold the sources against the lock, which has the hash of each sdist, and what builds it."""
    for source in image.sources:
        for name in (source, *SDIST_BUILDERS):
            if name not in pins:
                raise UsageError(
                    f"{toml_of(image.name)}: sources.{source} takes {name}, which its {image.lock_path.name} lacks",
                    f"Name {name} in {IMAGES}/{image.name}/requirements.in and run `assay lock {image.name}`.",
                )


def _check_first(image: Image, pins: Mapping[str, Pin]) -> None:
    """What goes into a layer of its own stands in the lock."""
    for name in image.first if image.suite is None else ():
        if name not in pins:
            raise UsageError(
                f"{toml_of(image.name)}: layers.first: {name} is not in its {image.lock_path.name}",
                "Name what the lock pins.",
            )


def check_contains(image: Image, pins: Mapping[str, Pin], below: str, stack: Mapping[str, Pin]) -> None:
    """Hold a lock against that of a stack below it: it must have all of the stack's pins, with the same hashes."""
    for package, pin in stack.items():
        own = pins.get(package)
        if own == pin:
            continue
        has = "lacks it" if own is None else f"has {own.version}"
        if own is not None and own.version == pin.version:
            has = "has other hashes"
        raise UsageError(
            f"{image.lock_shown}: {package} is {pin.version} in {below}, and this lock {has}",
            f"Run `assay lock {image.name}`.",
        )
