"""Which archive has a base as it was locked, and which one has it as it is today."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from assay.catalog import Image
from assay.engine.apt import IndexFailed
from assay.errors import BuildFailed
from assay.host.files import Tell
from assay.rootfs import bootstrap, index, sources
from assay.rootfs.packages_lock import Package, PackagesLock
from assay.rootfs.sources import Archive

MOST_NAMED = 5


@dataclass
class Search:
    """One walk through the archives; ``asked`` says what came of each, for whoever reads the error."""

    image: Image
    on_step: Tell
    stop: threading.Event | None = None
    asked: list[str] = field(default_factory=list)
    # The archive of today's versions: the mirror, or, for a suite that left it, that of old releases.
    today: Archive | None = None
    half: IndexFailed | None = None  # the mirror's, where it answers in part or not at all

    def exact(self, lock: PackagesLock) -> Archive | None:
        """Return the first archive that has every locked package: the mirror, the snapshot, that of old releases.

        Raises `BuildFailed` where one has other content under a locked version.
        """
        mirror = sources.mirror(self.image)
        absent = False
        try:
            if self._has_all(mirror, lock):
                return mirror
            self.today = mirror
        except IndexFailed as error:
            absent = error.absent
            self.half = None if absent else error
        past = sources.snapshot(self.image, lock.resolved)
        if past is None:
            why = (
                "no snapshot archive is named" if lock.resolved else "the lock says no time, so no snapshot is asked"
            )
            self.asked.append(why)
        elif self._public(past, lock):
            return past
        if absent and (old := self._old()) and self._public(old, lock):
            return old
        return None

    def newest(self) -> Archive:
        """Return the archive of today's versions. Raises `BuildFailed` where none answers wholly."""
        mirror = sources.mirror(self.image)
        try:
            self._index(mirror, ())
        except IndexFailed as error:
            old = self._old() if error.absent else None
            if old is None:
                raise
            self._index(old, ())
            return old
        return mirror

    def _old(self) -> Archive | None:
        old = sources.old_releases(self.image)
        if old is None:
            self.asked.append("no archive of old releases is named")
        return old

    def _public(self, archive: Archive, lock: PackagesLock) -> bool:
        try:
            found = self._has_all(archive, lock)
        except IndexFailed:
            return False
        if not found and not archive.past:
            self.today = archive
        return found

    def _has_all(self, archive: Archive, lock: PackagesLock) -> bool:
        lacking = self._index(archive, lock.packages).lacking(lock.packages)
        if lacking:
            self.asked.append(f"{archive.name} lacks {_named(lacking)}")
        return not lacking

    def _index(self, archive: Archive, packages: tuple[Package, ...]) -> index.Index:
        self.on_step(f"asking {archive.name}")
        keys = bootstrap.keys(bootstrap.programs(self.on_step, self.stop))
        try:
            return index.ask(archive, keys, [package.name for package in packages], self.on_step)
        except IndexFailed as error:
            self.asked.append(f"{archive.name}: {error.what}")
            raise

    def failure(self, copy: str) -> BuildFailed:
        """Return the error where no archive has the suite whole; ``copy`` is where a kept copy would be found."""
        what = f"{self.image.name} cannot be made, no archive has {self.image.suite}: {'; '.join(self.asked)}"
        todo = (
            f"Copy the file from the cache folder of a machine that has built it to {copy}, or name an archive in "
            f"{sources.SOURCES} or {sources.ARCHIVES}."
        )
        return IndexFailed(what, f"{self.half.todo} Or: {todo}") if self.half else BuildFailed(what, todo)


def _named(lacking: list[Package]) -> str:
    names = ", ".join(f"{package.name} {package.version}" for package in lacking[:MOST_NAMED])
    return names + (f" and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else "")
