"""What a build is told to do, and what it tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from assay.catalog import Built, Image
from assay.engine import Step
from assay.errors import AssayError
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
class Options:
    """How to build. ``suffix`` sets the names of a trial build apart; it leaves no trace in images.json.

    Without the cache the base is bootstrapped anew too, unless ``keep_base``. With ``pack`` the embedded engine holds
    framework images compressed only, from when they are built to when they are run. With ``locked`` nothing is built
    of other Debian packages than are locked; with ``refresh`` what drifted is made anew.
    """

    no_cache: bool = False
    keep_base: bool = False
    pack: bool = False
    suffix: str = ""
    locked: bool = False
    refresh: bool = False


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
