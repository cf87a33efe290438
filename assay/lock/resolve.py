"""Chooses which locks are resolved, and resolves them: all that change are written, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from assay import rootfs
from assay.catalog import Catalog, Image
from assay.errors import BuildFailed
from assay.host import files
from assay.lock.text import changes_between, pins_in, read_lock, stacks_below
from assay.lock.uv import new_lock


@dataclass(frozen=True)
class Result:
    """What became of one lock: the pins that changed, each as "six 1.16.0 -> 1.17.0"."""

    image: str
    path: Path
    written: bool
    changes: tuple[str, ...]


def choose(catalog: Catalog, names: Iterable[str]) -> tuple[Image, ...]:
    """Return the images of these names that have anything to lock, parents first.

    Without names: all that have requirements, and the bases and build tools that have no lock yet.
    """
    able = {**catalog.images, **catalog.tools}
    chosen = [able.get(name) or catalog.get(name) for name in names]
    if not chosen:
        chosen = [image for image in able.values() if not (image.suite and image.packages_lock)]
    return lockable(catalog, chosen)


def lockable(catalog: Catalog, images: Iterable[Image]) -> tuple[Image, ...]:
    """Return those of these images that have a lock, parents first."""
    able = {image for image in images if image.requirements or image.suite}
    return tuple(sorted(able, key=lambda image: (len(catalog.ancestors(image)), image.name)))


def lock(
    catalog: Catalog,
    images: Iterable[Image],
    *,
    upgrade: bool,
    on_step: Callable[[str], None] = lambda _: None,
) -> list[Result]:
    """Resolve the locks of these images anew; all that change are written, or none.

    Without ``upgrade`` a wheel keeps its pin as long as the requirements allow it. A stack below that has no lock yet
    gets one, and an image above is resolved again when its stack has changed.
    """
    wanted = set(images)
    for image in tuple(wanted):
        wanted |= {below for below in catalog.ancestors(image) if below.requirements and not below.lock}
    fresh: dict[str, str] = {}
    texts: dict[Path, str] = {}
    results: list[Result] = []
    for image in lockable(catalog, (*catalog.images.values(), *catalog.tools.values())):
        stacks = stacks_below(catalog, image, fresh)
        moved = any(result.written and result.image in stacks for result in results)
        if image not in wanted and not moved:
            continue
        on_step(f"{image.name}: resolving")
        path = image.folder / ("packages.lock" if image.suite else "requirements.lock")
        old = read_lock(path)
        if image.suite:
            text = rootfs.lock(image, on_step).text(image.name)
        else:
            text = fresh[image.name] = new_lock(image, stacks, () if upgrade else pins_in(old).items())
        results.append(Result(image.name, path, text != old, changes_between(old, text)))
        texts[path] = text
    for result in results:
        if result.written:
            try:
                files.replace(result.path, texts[result.path].encode())
            except OSError as error:
                raise BuildFailed(
                    f"{result.path} cannot be written: {error.strerror}", "See to the disk and its rights."
                ) from None
    return results
