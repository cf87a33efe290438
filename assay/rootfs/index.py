"""What an archive has, by its signed indices: asked before anything is made of it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from assay.engine import apt
from assay.errors import BuildFailed
from assay.host.files import Tell
from assay.rootfs.packages_lock import SOURCE, Package
from assay.rootfs.sources import Archive

_DSC = re.compile(r"^ ([0-9a-f]{64}) \d+ \S+\.dsc$", re.MULTILINE)


@dataclass(frozen=True)
class Index:
    """The packages of an archive: name -> version -> SHA-256; of a source package that of its .dsc."""

    packages: Mapping[str, Mapping[str, str]]

    def lacking(self, locked: Iterable[Package]) -> list[Package]:
        """Return the locked packages that the archive does not have at their version.

        Raises `BuildFailed` where it has the version with another hash: that is never drift.
        """
        lacking = []
        for package in locked:
            sha256 = self.packages.get(package.name, {}).get(package.version)
            if sha256 is None:
                lacking.append(package)
            elif sha256 != package.sha256:
                raise other_hash(package, sha256)
        return lacking


def ask(archive: Archive, keys: Path, names: Iterable[str], tell: Tell) -> Index:
    """Fetch every index of the archive and return what it has of these names; `apt.IndexFailed` if one is missing.

    ``keys`` is the folder of the keyrings that may have signed it.
    """
    with tempfile.TemporaryDirectory(prefix="assay-index-") as folder:
        private = apt.PrivateApt.make(Path(folder, "apt"), archive.lines, keys=keys, impatient=archive.public)
        private.update(tell)
        wanted = set(names)
        packages: dict[str, dict[str, str]] = {}
        for path in (private.folder / "lists").iterdir():
            if path.name.endswith(("_Packages", "_Sources")):
                for name, version, sha256 in entries(path):
                    if name in wanted:
                        packages.setdefault(name, {})[version] = sha256
        return Index(packages)


def other_hash(locked: Package, sha256: str) -> BuildFailed:
    """Return the error for a package that is not what was locked under its version."""
    return BuildFailed(
        f"{locked.name} {locked.version} has another hash than the locked one: {sha256}, not {locked.sha256}",
        "Do not use that archive: a version never changes its content. Choose another mirror.",
    )


def entries(path: Path) -> Iterator[tuple[str, str, str]]:
    """Return name, version and SHA-256 of the packages of one index, read line by line: it has a million of them."""
    source = path.name.endswith("_Sources")
    fields: dict[str, str] = {}
    dscs: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in (*file, "\n"):
            if line.startswith(("Package:", "Version:", "SHA256:")):
                name, _, value = line.partition(":")
                fields[name] = value.strip()
            elif source and line.startswith(" ") and (found := _DSC.match(line)):
                dscs.append(found[1])
            elif not line.strip():
                sha256 = (dscs or [""])[0] if source else fields.get("SHA256", "")
                if sha256 and {"Package", "Version"} <= fields.keys():
                    yield (SOURCE if source else "") + fields["Package"], fields["Version"], sha256
                fields, dscs = {}, []
