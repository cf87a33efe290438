"""An image as its folder describes it, and all images of a repository."""

from __future__ import annotations

import difflib
import graphlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assay.catalog.files import IMAGES
from assay.catalog.pins import Pin
from assay.catalog.platforms import AMD64, Platform
from assay.catalog.toml import Framework, Support, Tools
from assay.errors import UsageError


@dataclass(frozen=True)
class Image:
    """One image, one folder. A base has a suite; a framework image has a framework; a stack has neither.

    Build tools look like a base. They are no image: a build mounts them, and nothing of them stays.
    """

    name: str  # the folder, relative to images/
    folder: Path
    dockerfile: Path  # in the folder, or in the closest one above it
    parent: str | None
    summary: str
    framework: Framework | None
    workloads: tuple[str, ...]
    labels: Mapping[str, str] = field(hash=False)  # promised facts: its own and its ancestors'
    size_gb: float | None  # upper bound of the uncompressed size
    requirements: Path | None
    lock: Path | None
    packages_lock: Path | None
    suite: str | None
    include: tuple[str, ...]  # Debian packages that the base has on top of the minimum
    platform: str | None  # what wheels are chosen for, in uv's words: the base's, in every image above it
    notes: tuple[str, ...]
    built: Mapping[str, str] = field(hash=False)  # packages that its Dockerfile builds, and their versions
    beside: Mapping[str, str] = field(default_factory=dict, hash=False)  # packages of ours, in images/common/beside
    stderr: tuple[str, ...] = ()  # patterns of the whole lines that its framework may write to standard error
    # Libraries that crash when they are asked for their version without a driver, and why nothing asks them.
    uncalled: Mapping[str, str] = field(default_factory=dict, hash=False)
    # Programs that upstream left broken, each with the reason; modules that want what is not here, and what adds it.
    programs: Mapping[str, str] = field(default_factory=dict, hash=False)
    left_out: Mapping[str, str] = field(default_factory=dict, hash=False)
    exclude: tuple[str, ...] = ()  # paths that the base or the build tools leave out, in dpkg's patterns
    first: tuple[str, ...] = ()  # what goes into a layer of its own: distributions, or of a base folders
    build_tools: Image | None = None  # what its Dockerfile builds packages with
    tools: Tools | None = None  # of build tools only
    # Packages that are built from source in the image, and what each of them requires.
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    support: Support | None = None  # upstream's, of what the image is for
    # The last month in which Debian supports the suite, such as 2028-06: the base's, in every image above it.
    supported_until: str | None = None
    # Upper bound of its build from nothing, with all below it, on two cores; None: nobody says. CI chooses by it.
    minutes: float | None = None
    built_for: Platform = AMD64  # what this Image says holds for: its locks, and what wheels are chosen for
    platforms: tuple[str, ...] = (AMD64.name,)  # all that it declares
    # What its lock pins, by name. It is empty for an image without a lock, and None where no lock was read.
    pins: Mapping[str, Pin] | None = field(default=None, hash=False, repr=False)

    @property
    def lock_path(self) -> Path:
        """Return where its lock belongs, there or not."""
        return self.folder / self.built_for.lock("packages" if self.suite else "requirements")

    @property
    def lock_shown(self) -> str:
        """Return the same as messages show it."""
        return f"{IMAGES}/{self.name}/{self.lock_path.name}"


@dataclass(frozen=True)
class Catalog:
    """All images of one repository for one platform, and the build tools of some, each sorted by name.

    ``elsewhere`` are those that do not declare the platform, with what they declare.
    """

    root: Path
    images: Mapping[str, Image] = field(hash=False)
    tools: Mapping[str, Image] = field(default_factory=dict, hash=False)
    platform: Platform = AMD64
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def get(self, name: str) -> Image:
        """Return the image of that name."""
        try:
            return self.images[name]
        except KeyError:
            if name in self.tools:
                todo = f"They can be locked: `assay lock {name}`."
                raise UsageError(f"{name} are build tools, and no image is made of them", todo) from None
            if name in self.elsewhere:
                declared = ", ".join(self.elsewhere[name])
                todo = f"Add it to image.platforms in {IMAGES}/{name}/image.toml, and run `assay lock {name}`."
                what = f"{name} is not built for {self.platform.name}: it declares {declared}"
                raise UsageError(what, todo) from None
            raise UsageError(f"no image is named {name!r}", nearest(name, self.images)) from None

    def select(self, names: Iterable[str]) -> tuple[Image, ...]:
        """Return the images of these names, each once; all framework images where there are no names."""
        return tuple(self.get(name) for name in dict.fromkeys(names)) or self.frameworks()

    def order(self, names: Iterable[str]) -> tuple[Image, ...]:
        """Return the selected images and all that they stand on, parents first."""
        graph: dict[str, list[str]] = {}
        for image in self.select(names):
            for member in (image, *self.ancestors(image)):
                graph[member.name] = [member.parent] if member.parent else []
        return tuple(self.images[name] for name in graphlib.TopologicalSorter(graph).static_order())

    def frameworks(self) -> tuple[Image, ...]:
        """Return the images that have a framework in them."""
        return tuple(image for image in self.images.values() if image.framework)

    def ancestors(self, image: Image) -> tuple[Image, ...]:
        """Return what the image stands on, its parent first."""
        below: list[Image] = []
        while image.parent is not None:
            image = self.images[image.parent]
            below.append(image)
        return tuple(below)


def nearest(name: str, names: Collection[str]) -> str:
    """Return the line that tells whoever wrote a wrong name the nearest of the right ones, else all of them."""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(names)}."
