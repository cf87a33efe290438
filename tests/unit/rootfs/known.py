"""What the tests of root file systems have in common."""

from __future__ import annotations

import hashlib
import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path

from assay import catalog
from assay.rootfs import Package, PackagesLock
from assay.rootfs.sources import Archive

A, B, C = "a" * 64, "b" * 64, "c" * 64
RESOLVED = datetime(2026, 11, 20, 6, 7, 8, tzinfo=UTC)
LOCKED = (Package("libc6", "2.41-12", A), Package("zlib1g", "1:1.3.dfsg+really1.3.1-1+b1", B))
MIRROR = Archive("the mirror", ("deb http://a.example trixie main", "deb http://a.example trixie-updates main"))


def tar_of(**files: str) -> bytes:
    """A tar with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"etc/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


TAR = tar_of(hostname="one")
ROOTFS = hashlib.sha256(TAR).hexdigest()


def lock_again(
    root: Path, packages: tuple[Package, ...], rootfs: str, resolved: datetime | None = RESOLVED
) -> catalog.Image:
    """Write the base's lock, and load it."""
    lock = PackagesLock(packages, rootfs, resolved)
    (root / "images/base/trixie/packages.lock").write_text(lock.text("base/trixie"))
    return catalog.load(root).get("base/trixie")
