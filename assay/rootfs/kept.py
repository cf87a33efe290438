"""Root file systems by their locks: the kept copy, else made anew, exactly or with its drift said.

A tar that was made once is kept in the cache by its hash: when the archive moves on and the locked versions vanish
from it, the kept copy still builds the very same image.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from assay.catalog import Change, Drift, Image
from assay.errors import BuildFailed, UsageError
from assay.host import cache, files, paths, tars
from assay.host.files import Tell
from assay.rootfs import bootstrap, drift, sources
from assay.rootfs.packages_lock import PackagesLock
from assay.rootfs.search import Search
from assay.rootfs.sources import Archive

# How long a drifted root file system is used before the archives are asked again, in seconds.
ASK_AGAIN = 24 * 3600
MOST_NAMED = 20


@dataclass(frozen=True)
class How:
    """How to get a root file system: ``fresh`` takes no kept copy, ``locked`` takes no drift, ``refresh`` asks the
    archives even if a drifted copy is from today. ``stop`` ends the work at its next step: `CancelledError`.
    """

    fresh: bool = False
    locked: bool = False
    refresh: bool = False
    stop: threading.Event | None = None

    def stoppable(self, on_step: Tell) -> Tell:
        """Return ``on_step`` for work that can be stopped: a step that would be told then is not begun."""

        def step(text: str) -> None:
            if self.stop is not None and self.stop.is_set():
                raise CancelledError
            on_step(text)

        return step


@dataclass(frozen=True)
class Rootfs:
    """A root file system as a tar, and how it differs from its lock."""

    tar: Path
    drift: Drift | None = None


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept for a lock that no archive serves any more. ``asked`` in seconds since 1970."""

    asked: float
    drift: Drift


def rootfs(image: Image, on_step: Tell, how: How | None = None) -> Rootfs:
    """Return the locked base's root file system; one thread of one command makes it, the others wait.

    It is the kept copy; else made of the mirror, of the snapshot at the time of the lock or of the archive of old
    releases, whichever has every locked version; else it drifts. Raises `BuildFailed` where no archive answers, where
    one has other content under a locked version, and, if ``locked``, where it would drift.
    """
    cache.use()
    how = how or How()
    on_step = how.stoppable(on_step)
    lock = _lock_of(image)
    kept = kept_copy(lock.rootfs)
    with files.alone(kept, f"another command that makes {image.name}", on_step, how.stop):
        if not how.fresh and kept.is_file() and files.sha256(kept) == lock.rootfs:
            os.utime(kept)  # `assay clean` asks when it was used
            on_step("kept copy of the root file system")
            return Rootfs(kept)
        drifted = None if how.fresh or how.locked or how.refresh else _kept_drift(lock)
        if drifted:
            os.utime(drifted.tar.parent)
            on_step(f"kept copy of the root file system, drifted: {drifted.drift}")
            return drifted
        bootstrap.require_possible(image)
        return _made(image, lock, on_step, how)


def lock(image: Image, on_step: Tell) -> PackagesLock:
    """Resolve a base anew against the archive as it is today; the tar is kept.

    The lock that there is comes back if nothing has moved. Raises `BuildFailed` where the archive has older versions
    than that: it is behind, or a part of it is missing.
    """
    cache.use()
    bootstrap.require_possible(image)
    resolved = datetime.now(UTC).replace(microsecond=0)
    archive = Search(image, on_step).newest()
    with files.workspace(_folder(), "bootstrap") as work:
        tar, packages = bootstrap.bootstrap(image, {}, archive, work, on_step)
        new = PackagesLock(packages, files.sha256(tar), resolved)
        old = _lock_of(image) if image.packages_lock else None
        if old:
            changed = drift.drift(old, packages, new.rootfs)
            _require_newer(image, changed.changes if changed else (), archive, "Delete its packages.lock to lock it")
        tar.replace(kept_copy(new.rootfs))
    unchanged = old and old.resolved and (old.packages, old.rootfs) == (new.packages, new.rootfs)
    return old if old and unchanged else new


def kept_copy(digest: str) -> Path:
    """Return where the tar of that hash is kept."""
    return _folder() / f"{digest}.tar"


def _folder() -> Path:
    return paths.cache() / "base"


def _lock_of(image: Image) -> PackagesLock:
    if image.packages_lock is None:
        raise UsageError(f"{image.name} has no packages.lock", f"Run `assay lock {image.name}`.")
    return PackagesLock.read(image.packages_lock)


# From the archives


def _made(image: Image, lock: PackagesLock, on_step: Tell, how: How) -> Rootfs:
    """The exact one from the first archive that has all of it, else a drifted one of today's versions."""
    search = Search(image, on_step, how.stop)
    archive = search.exact(lock)
    with files.workspace(_folder(), "bootstrap") as work:
        if archive:
            pins = {package.name: package.version for package in lock.packages}
        else:
            if search.today is None:
                older = None if how.fresh or how.locked or how.refresh else _kept_drift(lock, float("inf"))
                if older:
                    on_step(f"drifted: no archive answers, so as it was before: {older.drift}")
                    return older
                raise search.failure(str(kept_copy(lock.rootfs)))
            if how.locked:
                raise _refused(image, lock, "; ".join(search.asked))
            archive, pins = search.today, {}
        on_step(f"bootstrapping from {archive.name}")
        tar, packages = bootstrap.bootstrap(image, pins, archive, work, on_step)
        found = drift.drift(lock, packages, files.sha256(tar))
        if found is None:
            return _keep(lock, tar)
        if not found.changes:
            found = Drift(found.rootfs, files=_compared(kept_copy(lock.rootfs), lock.rootfs, tar))
        if how.locked:
            raise _refused(image, lock, str(found))
        _require_newer(image, found.changes, archive, "Or take another mirror")
        on_step(f"drifted: {found}")
        return _keep_drift(lock, tar, found)


def _refused(image: Image, lock: PackagesLock, why: str) -> BuildFailed:
    return BuildFailed(
        f"{image.name} cannot be made as it was locked: {why}",
        f"Put a kept copy at {kept_copy(lock.rootfs)}, or name an archive that has the packages in "
        f"{sources.SOURCES}, or run `assay lock {image.name}`. Without --locked the difference would be said.",
    )


def _require_newer(image: Image, changes: Iterable[Change], archive: Archive, otherwise: str) -> None:
    back = drift.older(changes)
    if back:
        raise BuildFailed(
            f"{image.name}: {archive.name} is older than the lock: {', '.join(map(str, back[:MOST_NAMED]))}",
            f"It is behind, or a part of it is missing (-security, -updates): try again later. {otherwise}.",
        )


def _compared(kept: Path, digest: str, tar: Path) -> tuple[str, ...]:
    """Where a tar differs from the locked one, file by file, if that one is at hand."""
    made = _entries(tar)
    if not kept.is_file() or files.sha256(kept) != digest:
        return (f"{len(made)} files could not be compared, as no kept copy of sha256:{digest} is at hand",)
    found = tars.differences(_entries(kept), made)
    named = [f"{one.path} ({_SIDES.get(one.what, one.what)})" for one in found[:MOST_NAMED]]
    rest = [f"and {len(found) - MOST_NAMED} more"] if len(found) > MOST_NAMED else []
    return (*named, *rest) or ("the files are the same, and their order or padding in the tar is not",)


# The two sides of `tars.differences` here: the locked tar, and the one that was made.
_SIDES = {"only in the rebuilt": "only in what was made", "only in the published": "only in the locked one"}


def _entries(tar: Path) -> dict[str, tars.Entry]:
    with tar.open("rb") as file:
        return tars.entries(iter(lambda: file.read(2**20), b""))


# What is kept


def _keep(lock: PackagesLock, tar: Path) -> Rootfs:
    files.remove(_drifted(lock))
    return Rootfs(tar.replace(kept_copy(lock.rootfs)))


def _drifted(lock: PackagesLock) -> Path:
    """Where the drifted tars of a lock are kept."""
    return _folder() / f"{lock.rootfs}.drifted"


def _keep_drift(lock: PackagesLock, tar: Path, found: Drift) -> Rootfs:
    folder = _drifted(lock)
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.tar"):
        if time.time() - old.stat().st_mtime > ASK_AGAIN:  # a build of another checkout may read a younger one
            old.unlink()
    kept = tar.replace(folder / f"{found.rootfs}.tar")
    os.utime(kept)
    files.replace(folder / "record.json", msgspec.json.encode(_Record(time.time(), found)))
    return Rootfs(kept, found)


def _kept_drift(lock: PackagesLock, age: float = ASK_AGAIN) -> Rootfs | None:
    """The drifted copy that is kept, if the archives were asked within these seconds."""
    folder = _drifted(lock)
    try:
        record = msgspec.json.decode((folder / "record.json").read_bytes(), type=_Record)
    except (OSError, ValueError, RecursionError):
        return None
    tar = folder / f"{record.drift.rootfs}.tar"
    if not 0 <= time.time() - record.asked < age or not re.fullmatch(r"[0-9a-f]{64}", record.drift.rootfs):
        return None
    whole = tar.is_file() and files.sha256(tar) == record.drift.rootfs
    return Rootfs(tar, record.drift) if whole else None
