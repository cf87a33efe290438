"""Assay builds GPU environment images and certifies each by training in it."""

from __future__ import annotations


def version() -> str:
    """Return the version that is installed; 0.0 where none is."""
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415 - `assay --help` need not wait for it
    from importlib.metadata import version as installed  # noqa: PLC0415

    try:
        return installed("assay")
    except PackageNotFoundError:
        return "0.0"
