"""Where Assay keeps things on this machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from assay.errors import UsageError


def cache() -> Path:
    """The cache folder: ``ASSAY_CACHE``, else ``assay`` in the user's cache folder (XDG)."""
    chosen = os.environ.get("ASSAY_CACHE")
    if chosen:
        return Path(chosen).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay"


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
