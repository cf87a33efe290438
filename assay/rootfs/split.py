"""A root file system's tar in two: some folders of it, and the rest. Each becomes a layer."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from assay.errors import BuildFailed


def split(tar: Path, folders: Sequence[str], first: Path, rest: Path) -> None:
    """Write what is in these folders, with the folders that lead to them, into ``first``; all else into ``rest``.

    A folder may be a pattern, in which * stands for one name or a part of it. Raises `BuildFailed` for a folder that
    the tar lacks, and for a hard link from one part into the other.
    """
    with tarfile.open(tar) as source, _new(first) as named, _new(rest) as others:
        members = source.getmembers()
        roots = _roots(members, folders)
        above = {parent for root in roots for parent in root.parents}
        for member in members:
            inside = _inside(_path(member.name), roots)
            if member.islnk() and _inside(_path(member.linkname), roots) != inside:
                raise BuildFailed(
                    f"/{member.name} and /{member.linkname} are one file, and layers.first puts them into two layers",
                    "Name folders that have both or neither.",
                )
            for target in [named] if inside else [others, *([named] if _path(member.name) in above else [])]:
                target.addfile(member, source.extractfile(member) if member.isreg() else None)


def _roots(members: Sequence[tarfile.TarInfo], folders: Sequence[str]) -> frozenset[PurePosixPath]:
    """The folders of the tar that the patterns mean."""
    there = [_path(member.name) for member in members if member.isdir()]
    found = {folder: [path for path in there if path.match(folder)] for folder in folders}
    missing = [folder for folder, paths in found.items() if not paths]
    if missing:
        what = f"layers.first: the root file system has no {', '.join(missing)}"
        raise BuildFailed(what, "Name folders that it has.")
    return frozenset(path for paths in found.values() for path in paths)


def _inside(path: PurePosixPath, roots: frozenset[PurePosixPath]) -> bool:
    return path in roots or not roots.isdisjoint(path.parents)


def _path(name: str) -> PurePosixPath:
    return PurePosixPath("/", name)


def _new(path: Path) -> tarfile.TarFile:
    return tarfile.open(path, "w", format=tarfile.PAX_FORMAT)
