"""How what was made differs from what was locked: other versions, or another tar of the same packages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from assay.catalog import Change, Drift
from assay.host import process
from assay.rootfs.index import other_hash
from assay.rootfs.packages_lock import Package, PackagesLock


def drift(lock: PackagesLock, made: Iterable[Package], digest: str) -> Drift | None:
    """Return how packages and the hash of their tar differ from a lock; None if they do not.

    Raises `BuildFailed` where a version is the same and its hash is not.
    """
    changes = tuple(_changes(lock.packages, made))
    if not changes and digest == lock.rootfs:
        return None
    return Drift(digest, changes)


def _changes(locked: Iterable[Package], made: Iterable[Package]) -> Iterator[Change]:
    was, now = ({package.name: package for package in packages} for packages in (locked, made))
    for name in sorted(was.keys() | now.keys()):
        old, new = was.get(name), now.get(name)
        if old and new and old.version == new.version:
            if old.sha256 != new.sha256:
                raise other_hash(old, new.sha256)
        else:
            yield Change(name, old.version if old else None, new.version if new else None)


def older(changes: Iterable[Change]) -> list[Change]:
    """Return the changes to an older version: no archive goes back, but a mirror is behind or lacks a part."""
    return [change for change in changes if change.was and change.now and is_older(change.now, change.was)]


def is_older(one: str, other: str) -> bool:
    """Return whether a Debian version comes before another, as dpkg says."""
    return process.run(["dpkg", "--compare-versions", one, "lt", other]).returncode == 0
