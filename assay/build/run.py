"""What one call of `build` knows on one engine, and what it does with an image that is there."""

from __future__ import annotations

import contextlib
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path

from assay.build.ahead import Ahead
from assay.build.keys import input_key
from assay.build.turns import engine_turn
from assay.build.watching import Options, View
from assay.catalog import Built, Catalog, Image, write_images
from assay.engine import Engine
from assay.errors import BuildFailed
from assay.host.holders import Holder


@dataclass
class Run:
    """One call of `build` on one engine: what is known so far.

    Where there are several builders, each has a run with its own engine; ``built``, ``made``, ``lock`` and ``stop``
    are the same ones in all. ``made`` is who had an image first, and its digest.
    """

    catalog: Catalog
    engine: Engine
    view: View
    options: Options
    ahead: Ahead | None = None
    built: dict[str, Built] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    fresh: bool = False
    above: dict[str, set[str]] = field(default_factory=dict)  # by an image, what is still to be built on it
    builder: str = ""
    made: dict[str, tuple[str, str]] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)

    def leave(self, image: Image) -> list[str]:
        """Say that an image is there; returns it, and all below it that nothing is to be built on any more.

        One that something is still to be built on stays in use, and nothing is returned.
        """
        done = [image.name]
        with self.lock:
            if self.above.get(image.name):
                return []
            while image.parent and self.above.get(image.parent):
                self.above[image.parent].discard(image.name)
                if self.above[image.parent]:
                    break
                image = self.catalog.get(image.parent)
                done.append(image.name)
        return done

    def keep(self, image: Image, built: Built) -> None:
        """Write down what was built, at once; what another builder built just so stays as it was written.

        Raises `BuildFailed` where another builder's has another digest.
        """
        with self.lock:
            first, digest = self.made.setdefault(image.name, (self.builder, built.digest))
            if digest != built.digest:
                raise BuildFailed(
                    f"{image.name} is {built.digest[:19]} on {self.builder}, and {digest[:19]} on {first}",
                    "Are their engines of one version? If so, a step depends on time or place: `assay reproduce`.",
                )
            if first == self.builder and self.built.get(image.name) != built:
                self.built[image.name] = built
                if not self.options.suffix:
                    write_images(self.catalog.root, self.built)

    def end(self, image: Image, built: Built, *, fresh: bool) -> Built:
        """Send an image that is there to where results meet, and say that it is done."""
        if self.options.through:
            self.view.phase(image.name, "sending")
            self.options.through.send(self.engine, image.name, built.digest, self.stop)
        self.finished.add(image.name)
        self.view.done(image.name, built, fresh)
        return built

    def key(self, image: Image) -> str:
        """The key of all that decides what an image will be; its parent is known."""
        parent = self.built[image.parent] if image.parent else None
        return input_key(self.catalog, image, parent.digest if parent else None)

    def is_current(self, image: Image) -> bool:
        """Whether what was built of an image before is what would be built now; its parent is known."""
        before = self.built.get(image.name)
        if before is None or self.options.suffix:
            return False
        stale = bool(before.drift) and (self.options.locked or self.options.refresh)
        return not stale and before.key == self.key(image)

    def log(self, name: str) -> Path:
        """The file that what is said while an image is built is written into."""
        by = f"@{re.sub(r'[^A-Za-z0-9._-]+', '-', self.builder)}" if self.builder else ""
        return self.catalog.root / "build" / "logs" / f"{name.replace('/', '-')}{by}.log"

    def building(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Where the engine builds: with others, or alone if this run packs and so tidies after each image."""
        if self.builder:
            return contextlib.nullcontext()  # no engine of this machine's cache folder
        who = Holder.here(name, self.catalog.root)
        return engine_turn(who, lambda text: self.view.phase(name, text), self.stop, alone=self.options.pack)
