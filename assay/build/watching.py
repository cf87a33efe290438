"""What a build is told to do, and what it tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from assay.build.through import Through
from assay.catalog import Built, Image
from assay.engine import Step
from assay.errors import AssayError, UsageError
from assay.host.files import Tell

# What a step of BuildKit's is to a person, by how its name begins: a stage in brackets, or what the exporter does.
_PHASES = (
    (re.compile(r"exporting layers"), "compressing"),
    (re.compile(r"unpacking to "), "unpacking"),
    (re.compile(r"\[wheel \d+/\d+\] RUN "), "compiling"),
    (re.compile(r"\[[^]]*\] RUN "), "installing"),
    (re.compile(r"\[[^]]*\] (ADD|COPY) "), "copying"),
)
# How a phase of a root file system is told from a step of mmdebstrap's.
_ROOTFS_PHASES = ("waiting for ", "asking ", "bootstrapping ", "drifted: ")


class View(Protocol):
    """What a build tells whoever watches it; calls come from several threads."""

    def start(self, name: str) -> None:
        """An image's turn has come."""

    def phase(self, name: str, text: str) -> None:
        """Another phase begins: waiting for whom, bootstrapping, installing, compressing, unpacking.

        ``name`` is the image, or says what concerns all of them. An empty ``text`` ends the last phase.
        """

    def step(self, name: str, text: str) -> None:
        """What is being done for it just now."""

    def done(self, name: str, built: Built, fresh: bool) -> None:
        """The image is there; ``fresh`` if this run built it."""

    def failed(self, name: str, error: AssayError | None) -> None:
        """It could not be built; without an error, because its parent was not."""


@dataclass(frozen=True)
class On:
    """What one of several builders tells a view: beside each image's name stands the builder's."""

    view: View
    builder: str

    def start(self, name: str) -> None:
        """An image's turn has come."""
        self.view.start(self.named(name))

    def phase(self, name: str, text: str) -> None:
        """Another phase begins."""
        self.view.phase(self.named(name), text)

    def step(self, name: str, text: str) -> None:
        """What is being done for it just now."""
        self.view.step(self.named(name), text)

    def done(self, name: str, built: Built, fresh: bool) -> None:
        """The image is there."""
        self.view.done(self.named(name), built, fresh)

    def failed(self, name: str, error: AssayError | None) -> None:
        """It could not be built."""
        self.view.failed(self.named(name), error)

    def named(self, name: str) -> str:
        """An image, as it is shown."""
        return f"{name} on {self.builder}"


@dataclass(frozen=True)
class Options:
    """How to build. ``suffix`` sets the names of a trial build apart; it leaves no trace in images.json.

    Without the cache the base is bootstrapped anew too, unless ``keep_base``. With ``pack`` the embedded engine holds
    framework images compressed only, from when they are built to when they are run. With ``locked`` nothing is built
    of other Debian packages than are locked; with ``refresh`` what drifted is made anew. ``cache_from`` and
    ``cache_to`` are registries (HOST/PATH) that BuildKit takes steps from, and leaves them in. What was built before
    and is in the registry ``through`` is fetched in place of being built, and what is built is sent there.
    """

    no_cache: bool = False
    keep_base: bool = False
    pack: bool = False
    suffix: str = ""
    locked: bool = False
    refresh: bool = False
    cache_from: str = ""
    cache_to: str = ""
    through: Through | None = None

    def __post_init__(self) -> None:
        """Hold that what is built to be compared is built here."""
        if self.no_cache and (self.cache_from or self.cache_to):
            raise UsageError("a build without any cache has no registry's either", "Leave out one of the two.")


def tell_rootfs(view: View, image: Image, shown: str) -> Tell:
    """Begin the phase that makes a root file system, and return what tells a view of it under the name ``shown``."""
    of_tools = "" if shown == image.name else f"{image.name}: "
    view.phase(shown, f"{of_tools}looking for a kept copy")

    def tell(text: str) -> None:
        if text.startswith(_ROOTFS_PHASES):
            view.phase(shown, of_tools + text)
        else:
            view.step(shown, text)

    return tell


def phase_of(step: Step) -> str | None:
    """The phase that a step begins; None where it goes on with the last one."""
    if step.line is not None:
        return None
    return next((phase for pattern, phase in _PHASES if pattern.match(step.name)), None)
