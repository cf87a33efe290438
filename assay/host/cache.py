"""What the cache folder holds, and who uses it.

Whatever takes something from the cache calls `use` first, and counts as its user until the process ends. Whoever
removes something is `alone` with it.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
from collections.abc import Iterable, Iterator
from pathlib import Path

from assay.errors import UsageError
from assay.host import files, holders, paths, process
from assay.host.holders import Holder

# By the kind of what they hold, folders of the cache; what is in none of them is "other".
KINDS = {
    "engine data": ("engine/data",),
    "root file systems": ("base",),
    "tools": ("engine", "tools"),
    "wheels": ("wheels",),
    "home of `assay run`": ("home",),
}
OTHER = "other"
SECONDS = 60  # for `du` to count
LEAST = 2**20  # bytes that are worth a word

_used: dict[Path, contextlib.ExitStack] = {}


def use() -> None:
    """Keep the cache from being cleaned for as long as this process lives."""
    lock = _lock()
    if lock in _used:
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = _used[lock] = contextlib.ExitStack()
    atexit.register(held.close)
    handle = held.enter_context(lock.open("a"))
    fcntl.flock(handle, fcntl.LOCK_SH)  # who cleans is soon done
    held.enter_context(holders.beside(lock, Holder.here("a command that uses it")))


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the cache alone. Raises `UsageError` that names who uses it."""
    lock = _lock()
    with lock.open("a") as handle:
        if not files.taken(handle, fcntl.LOCK_EX):
            who = " and ".join(map(str, holders.all_beside(lock))) or "another command"
            raise UsageError(f"{lock.parent} is in use: {who}", "Wait until that has ended, or end it.")
        yield


def sizes() -> dict[str, int]:
    """The bytes on disk of what the cache holds, by kind; what is below a MiB is left out."""
    folder = paths.cache()
    found = dict.fromkeys((*KINDS, OTHER), 0)
    for path in (*_in(folder), *_in(folder / "engine")):
        if path != folder / "engine":
            found[_kind(path.relative_to(folder).as_posix())] += size_of(path)
    return {kind: size for kind, size in found.items() if size >= LEAST}


def _in(folder: Path) -> Iterable[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else ()


def _kind(name: str) -> str:
    """The kind of what lies at a path below the cache folder."""
    top = name.partition("/")[0]
    return next((kind for kind, places in KINDS.items() if name in places or top in places), OTHER)


def size_of(path: Path) -> int:
    """The bytes that a file or a folder takes on its own disk; 0 where it is not there."""
    if not path.exists():
        return 0
    words = process.run(["du", "-skx", str(path)], timeout=SECONDS).stdout.split()
    return int(words[0]) * 1024 if words and words[0].isdecimal() else 0


def _lock() -> Path:
    return paths.cache() / "in-use.lock"
