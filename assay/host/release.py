"""Which Assay this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


def version() -> str:
    """Return the version that is installed; 0.0 where none is."""
    try:
        return installed("assay")
    except PackageNotFoundError:
        return "0.0"
