"""Builds for another processor than this machine's, whose programs are emulated here.

The names of what is built so have a suffix, and images.json does not list it: it is no image that runs here.
"""

from __future__ import annotations

from assay.catalog.platforms import Platform
from assay.errors import BuildFailed
from assay.host import emulation, machine


def is_foreign(platform: Platform) -> bool:
    """Whether this machine runs programs of a platform by emulation only."""
    return platform.machine != machine.architecture()


def suffix_of(platform: Platform) -> str:
    """What local names of images for another processor have behind `assay`; nothing for this machine's."""
    return f"-{platform.architecture}" if is_foreign(platform) else ""


def require_runs(platform: Platform) -> None:
    """Raise `BuildFailed` where nothing here runs programs for the platform."""
    if not emulation.runs(platform.machine, machine.architecture()):
        raise BuildFailed(
            f"nothing here runs programs for {platform.machine}", f"{emulation.REMEDY}, or build on such a machine."
        )
