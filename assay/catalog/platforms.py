"""The platforms that images are built for: what each is called, and which an image declares.

An image says them in one line of its image.toml (`platforms`); without it, it is built for the first one alone. A
lock holds for one platform, so each has its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from assay.catalog.files import IMAGES, relative, toml_of
from assay.catalog.toml import File
from assay.errors import UsageError

# The line of an image.toml that says the platforms: what else is built does not change any image.
_LINE = re.compile(rb"^platforms = \[[^\n]*\][^\n]*\n", re.MULTILINE)
_LOCK = re.compile(r"(requirements|packages)\.([a-z0-9-]+)\.lock")


@dataclass(frozen=True)
class Platform:
    """A platform by its name in OCI, linux/arm64, and its processor as Python's wheels call it, aarch64."""

    name: str
    machine: str

    @property
    def architecture(self) -> str:
        """The processor as Debian and OCI call it: arm64."""
        return self.name.partition("/")[2]

    @property
    def suffix(self) -> str:
        """What messages add where they are not about the first platform."""
        return "" if self is AMD64 else f" on {self.name}"

    def lock(self, stem: str) -> str:
        """Return the name of a lock's file: requirements.lock, and requirements.arm64.lock beside it."""
        return f"{stem}.lock" if self is AMD64 else f"{stem}.{self.architecture}.lock"

    def wheels(self, other: str) -> str:
        """Return uv's words for this platform, of those for the first one: aarch64-manylinux_2_40."""
        return f"{self.machine}{other.removeprefix(AMD64.machine)}"


AMD64 = Platform("linux/amd64", "x86_64")
ARM64 = Platform("linux/arm64", "aarch64")
PLATFORMS = {platform.name: platform for platform in (AMD64, ARM64)}


def platform_of(name: str) -> Platform:
    """Return the platform of that name, or of an architecture's; `UsageError` where it is none of ours."""
    for platform in PLATFORMS.values():
        if name in {platform.name, platform.architecture, platform.machine}:
            return platform
    raise UsageError(f"no image is built for {name!r}", f"There are {' and '.join(PLATFORMS)}.")


def without_platforms(image_toml: bytes) -> bytes:
    """Return an image.toml as it is hashed: without the line of platforms, so that a new one voids no certificate."""
    return _LINE.sub(b"", image_toml)


def check_platforms(root: Path, files: Mapping[str, File]) -> None:
    """Hold what each image declares against what it stands on, and against the locks that lie beside it."""
    for name, file in files.items():
        where = f"{toml_of(name)}: image.platforms"
        if len(set(file.image.platforms)) != len(file.image.platforms):
            raise UsageError(f"{where} names one twice", "Name each platform once.")
        for below in filter(None, (file.image.parent, file.image.build_tools)):
            lacking = [each for each in file.image.platforms if each not in files[below].image.platforms]
            if lacking:
                raise UsageError(
                    f"{where}: {lacking[0]} is not declared by {below}, which it takes",
                    f"Add it to {toml_of(below)}, or remove it here.",
                )
        _check_line(root, name, file)
        _check_locks(root / IMAGES / name, root, name, file.image.platforms)


def _check_locks(folder: Path, root: Path, name: str, declared: Collection[str]) -> None:
    known = {platform.architecture: platform.name for platform in PLATFORMS.values() if platform is not AMD64}
    for path in sorted(folder.glob("*.*.lock")):
        found = _LOCK.fullmatch(path.name)
        platform = known.get(found[2], found[2]) if found else ""
        if found and platform not in declared:
            raise UsageError(
                f"{relative(path, root)} is of {platform}, which {toml_of(name)} does not declare",
                f"Add {platform} to image.platforms there, or delete the lock.",
            )


def _check_line(root: Path, name: str, file: File) -> None:
    """Hold that what is declared stands in the line that no certificate depends on."""
    text = (root / toml_of(name)).read_bytes()
    if file.image.platforms != (AMD64.name,) and len(_LINE.findall(text)) != 1:
        raise UsageError(
            f"{toml_of(name)}: image.platforms does not stand in a line of its own",
            'Write it in one line, such as platforms = ["linux/amd64", "linux/arm64"].',
        )
