"""Chooses which locks are resolved, and resolves them: all that change are written, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from assay import catalog, rootfs
from assay.catalog import Catalog, Image
from assay.catalog.platforms import AMD64, PLATFORMS, Platform
from assay.errors import BuildFailed
from assay.host import files
from assay.lock.text import changes_between, pins_in, read_lock, stacks_below
from assay.lock.uv import new_lock

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What became of one lock: the pins that changed, each as "six 1.16.0 -> 1.17.0"."""

    image: str
    path: Path
    written: bool
    changes: tuple[str, ...]
    platform: Platform = AMD64


def catalogs(
    root: Path, names: Iterable[str], platform: str | None = None
) -> list[tuple[Catalog, tuple[Image, ...]]]:
    """Return the catalog of each platform, or of one, with those of these images that have anything to lock there.

    An image that no catalog has is a `UsageError`, as is one that does not declare the one platform.
    """
    names = tuple(names)
    found = [catalog.load(root, locked=False, platform=each) for each in ([platform] if platform else PLATFORMS)]
    for name in names:
        if not any(name in {**each.images, **each.tools} for each in found):
            found[0].get(name)  # raises
    return [(each, choose(each, names)) for each in found]


def choose(cat: Catalog, names: Iterable[str]) -> tuple[Image, ...]:
    """Return the images of these names that have anything to lock on this catalog's platform, parents first.

    Without names: all that have requirements, and the bases and build tools that have no lock yet.
    """
    able = {**cat.images, **cat.tools}
    names = tuple(names)
    chosen = [able[name] for name in names if name in able]
    if not names:
        chosen = [image for image in able.values() if not (image.suite and image.packages_lock)]
    return lockable(cat, chosen)


def lockable(cat: Catalog, images: Iterable[Image]) -> tuple[Image, ...]:
    """Return those of these images that have a lock, parents first."""
    able = {image for image in images if image.requirements or image.suite}
    return tuple(sorted(able, key=lambda image: (len(cat.ancestors(image)), image.name)))


def lock(
    root: Path,
    names: Iterable[str] = (),
    *,
    upgrade: bool = False,
    platform: str | None = None,
    on_step: Tell = lambda _: None,
) -> list[Result]:
    """Resolve the locks of these images anew, for each platform that they declare; all are written, or none.

    Without ``upgrade`` a wheel keeps its pin as long as the requirements allow it. A stack below that has no lock yet
    gets one, and an image above is resolved again when its stack has changed. A platform keeps to the versions of the
    first one wherever it has them.
    """
    texts: dict[Path, str] = {}
    results: list[Result] = []
    for cat, chosen in catalogs(root, names, platform):
        results += _resolved(cat, chosen, texts, upgrade=upgrade, on_step=on_step)
    for result in results:
        if result.written:
            try:
                files.replace(result.path, texts[result.path].encode())
            except OSError as error:
                raise BuildFailed(
                    f"{result.path} cannot be written: {error.strerror}", "See to the disk and its rights."
                ) from None
    return results


def _resolved(
    cat: Catalog, images: Iterable[Image], texts: dict[Path, str], *, upgrade: bool, on_step: Tell
) -> Iterable[Result]:
    """The locks of one platform; the text of each goes into ``texts``, which has those of the platforms before it."""
    wanted = set(images)
    for image in tuple(wanted):
        wanted |= {below for below in cat.ancestors(image) if below.requirements and not below.lock}
    fresh: dict[str, str] = {}
    moved: set[str] = set()
    for image in lockable(cat, (*cat.images.values(), *cat.tools.values())):
        stacks = stacks_below(cat, image, fresh)
        if image not in wanted and not moved.intersection(stacks):
            continue
        on_step(f"{image.name}: resolving{cat.platform.suffix}")
        old = read_lock(image.lock_path)
        if image.suite:
            text = rootfs.lock(image, on_step).text(image.name)
        else:
            kept = {**({} if upgrade else pins_in(old)), **_first_pins(image, texts)}
            text = fresh[image.name] = new_lock(image, stacks, kept.items())
        texts[image.lock_path] = text
        if text != old:
            moved.add(image.name)
        yield Result(image.name, image.lock_path, text != old, changes_between(old, text), cat.platform)


def _first_pins(image: Image, texts: Mapping[Path, str]) -> Mapping[str, str]:
    """The pins of the image's lock for the first platform, as it is now; none for that platform itself."""
    first = image.folder / AMD64.lock("requirements")
    return {} if first == image.lock_path else pins_in(texts.get(first) or read_lock(first))
