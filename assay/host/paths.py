"""Where Assay keeps things on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache() -> Path:
    """The cache folder: ``ASSAY_CACHE``, else ``assay`` in the user's cache folder (XDG)."""
    chosen = os.environ.get("ASSAY_CACHE")
    if chosen:
        return Path(chosen).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay"


def release() -> Path:
    """The folder that holds the suite and the certificates of this Assay: in the installed package, else the checkout
    that it is installed from."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "release"
    return shipped if shipped.is_dir() else package.parent
