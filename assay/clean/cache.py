"""What of the cache folder can go, and what stays and why.

What the locks of this checkout name stays: when Debian's archive moves on, a kept root file system is the only way to
build the very same base. So do the programs of this Assay. Images stay, unless they are asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from assay import engine, rootfs
from assay.catalog import Catalog
from assay.catalog.platforms import PLATFORMS
from assay.engine import EmbeddedEngine
from assay.errors import UsageError
from assay.host import cache, files, paths

DAY = 24 * 3600


@dataclass(frozen=True)
class Item:
    """Something in the cache: its kind, its bytes on disk, and why it stays; empty for what goes."""

    kind: str
    path: Path
    size: int
    stays: str = ""


def items(cat: Catalog, older_than_days: int = 0, *, images: bool = False) -> list[Item]:
    """All that the cache holds, by kind. What was used in the last ``older_than_days`` stays.

    ``images``: the embedded engine's data goes too.
    """
    newest = time.time() - older_than_days * DAY
    found = []
    for kind, path, needed in _there(cat, images=images):
        young = bool(older_than_days) and path.stat().st_mtime > newest
        stays = needed or (f"used in the last {older_than_days} days" if young else "")
        found.append(Item(kind, path, cache.size_of(path), stays))
    return found


def clean(cat: Catalog, older_than_days: int = 0, *, images: bool = False) -> list[Item]:
    """Remove what can go, and return all that there was, as `items` does.

    Raises `UsageError` while a command uses the cache, or a container runs on an engine whose data is to go.
    """
    if not paths.cache().is_dir():
        return []
    with cache.alone():
        found = items(cat, older_than_days, images=images)
        if any(item.kind == "engine data" and not item.stays for item in found):
            _stop_engine()
        for item in found:
            if not item.stays:
                _remove(item.path)
    return found


def _there(cat: Catalog, *, images: bool) -> Iterator[tuple[str, Path, str]]:
    folder, embedded = paths.cache(), EmbeddedEngine.here()
    if embedded.data.is_dir():
        stays = "" if images else "images and build cache; --images removes them, `assay engine prune` the cache"
        yield "engine data", embedded.data, stays
    locked = {rootfs.PackagesLock.read(path).rootfs for path in _locks(cat)}
    for path in _entries(folder / "base"):
        yield "root file systems", path, "locked by this checkout" if path.stem in locked else ""
    uvs = {folder / "tools" / f"uv-{version('uv')}{which}" for which in ("", "-static")}
    ours = {embedded.programs, rootfs.programs_folder(), *uvs}
    for path in (*_entries(folder / "tools"), *embedded.home.glob("debian-*")):
        yield "tools", path, "of this Assay" if path in ours else ""
    for path in _entries(folder / "wheels"):
        yield "wheels", path, ""
    if (folder / "home").is_dir():
        yield "home of `assay run`", folder / "home", "what was downloaded in images; remove it yourself"


def _locks(cat: Catalog) -> Iterator[Path]:
    """The locks of all root file systems, those for other processors too."""
    for image in (*cat.images.values(), *cat.tools.values()):
        for platform in map(PLATFORMS.__getitem__, image.platforms):
            path = image.folder / platform.lock("packages")
            if path.exists():
                yield path


def _entries(folder: Path) -> Iterable[Path]:
    """What is in a folder, but for its locks: to delete one would hand two processes a lock each."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if not path.name.endswith(".lock")]


def _stop_engine() -> None:
    """Stop the embedded engine, unless a container runs on it."""
    embedded = EmbeddedEngine.here()
    if embedded.pid() is not None:
        with engine.find_embedded() as running:
            names = running.running()
        if names:
            raise UsageError(f"containers run on the embedded engine: {', '.join(names)}", "End them first.")
    embedded.down()


def _remove(path: Path) -> None:
    """Remove a file or a folder; of one that a disk is mounted on, what is in it."""
    if path.is_mount():
        for inner in path.iterdir():
            files.remove(inner)
    else:
        files.remove(path)
