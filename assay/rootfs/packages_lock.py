"""A ``packages.lock``: what a base holds, package by package, and the hash of the tar that mmdebstrap makes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from assay.errors import UsageError

# What stands before the name of a source package; its hash is that of its .dsc, which holds those of its files.
SOURCE = "src:"
_LINE = re.compile(
    r"(?P<name>(?:src:)?[a-z0-9][a-z0-9+.-]*)=(?P<version>[0-9A-Za-z.+:~-]+) sha256:(?P<sha256>[0-9a-f]{64})"
)
_ROOTFS = re.compile(r"^# rootfs sha256:([0-9a-f]{64})$", re.MULTILINE)
_RESOLVED = re.compile(r"^# resolved (.*)$", re.MULTILINE)
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Package:
    """A Debian package at an exact version, with the hash of its archive."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class PackagesLock:
    """The content of a lock. ``resolved`` is when it was resolved; None in a lock that does not say so.

    The snapshot archive can be asked only for a time, so a lock without one has no snapshot.
    """

    packages: tuple[Package, ...]
    rootfs: str
    resolved: datetime | None = None

    @classmethod
    def read(cls, path: Path) -> PackagesLock:
        """Read a lock; a line that is neither a comment nor an exact, hashed package is a `UsageError`."""
        packages = []
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}", "Run `assay lock` for its image.") from error
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            found = _LINE.fullmatch(line)
            if found is None:
                raise UsageError(f"{path}:{number} is no exact, hashed package: {line!r}", "Run `assay lock`.")
            packages.append(Package(**found.groupdict()))
        rootfs = _ROOTFS.search(text)
        if rootfs is None or not packages:
            raise UsageError(f"{path} names no packages or no rootfs hash", "Run `assay lock` for its image.")
        return cls(tuple(packages), rootfs[1], _resolved(text, path))

    def text(self, image: str) -> str:
        """Return the lock as the text of a file."""
        head = f"# The Debian packages of {image}. Made by: assay lock {image}\n# rootfs sha256:{self.rootfs}\n"
        if self.resolved:
            head += f"# resolved {self.resolved.replace(tzinfo=None).isoformat()}Z\n"
        return head + "".join(f"{p.name}={p.version} sha256:{p.sha256}\n" for p in self.packages)


def _resolved(text: str, path: Path) -> datetime | None:
    found = _RESOLVED.search(text)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(
            f"{path}: {found[1][:40]!r} is no time of a lock", "Run `assay lock` for its image."
        ) from None
