"""Where Assay keeps things on this machine."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from assay.errors import AssayError, UsageError, of_the_system


def cache() -> Path:
    """The cache folder: ``ASSAY_CACHE``, else ``assay`` in the user's cache folder (XDG).

    Raises `UsageError` where ``ASSAY_CACHE`` is a relative path: each folder would have a cache of its own.
    """
    chosen = os.environ.get("ASSAY_CACHE")
    if chosen and not Path(chosen).is_absolute():
        raise UsageError(
            f"ASSAY_CACHE is {chosen}, a relative path", f"Set it to an absolute one: {Path.cwd() / chosen}"
        )
    if chosen:
        return Path(chosen).resolve()
    usual = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (usual if usual.is_absolute() else Path.home() / ".cache") / "assay"


def refused(error: OSError) -> AssayError:
    """What the operating system refused, in words of use; where it is the cache folder, another one helps."""
    told = of_the_system(error)
    if error.filename is None or error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return told
    place, ours = Path(os.fsdecode(error.filename)), cache()
    if place == ours or place in ours.parents or ours in place.parents:
        return UsageError(
            told.what, f"Set ASSAY_CACHE to a folder that you may write to: the cache folder is {ours}."
        )
    return told


def require_own(folder: Path) -> None:
    """Raise `UsageError` where another user could put something into a folder that we run programs from.

    It need not be there yet. Who may rename a folder above it could do so, too: but for root, and where only owners
    rename, as in /tmp.
    """
    for place in (folder, *folder.parents):
        try:
            facts = place.stat()
        except FileNotFoundError:
            continue  # made by us, then, in a folder that is looked at next
        above = place != folder
        foreign = facts.st_uid not in ({os.geteuid(), 0} if above else {os.geteuid()})
        shared = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not (above and facts.st_mode & stat.S_ISVTX)
        if foreign or shared:
            why = f"belongs to the user {facts.st_uid}" if foreign else "can be written by others"
            raise UsageError(
                f"{place} {why}, and programs of the cache folder run as the user {os.geteuid()}",
                f"Set ASSAY_CACHE to a folder of your own, or: chown {os.geteuid()} {place}; chmod go-w {place}",
            )


def release() -> Path:
    """The folder that holds the suite and the certificates of this Assay: in the installed package, else the checkout
    that it is installed from."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "release"
    return shipped if shipped.is_dir() else package.parent
