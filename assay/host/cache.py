"""What the cache folder holds, and who uses it.

Whatever takes something from the cache calls `use` first, and counts as its user until the process ends. Whoever
removes something is `alone` with it.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
from collections.abc import Iterator
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
    folder, counted = paths.cache(), 0
    found: dict[str, int] = {}
    for kind, names in KINDS.items():
        bytes_ = sum(size_of(folder / name) for name in names)
        if kind == "tools":  # its engine's data is a kind of its own
            bytes_ -= found.get("engine data", 0)
        if bytes_ >= LEAST:
            found[kind] = bytes_
            counted += bytes_
    other = size_of(folder) - counted
    return {**found, OTHER: other} if other >= LEAST else found


def size_of(path: Path) -> int:
    """The bytes that a file or a folder takes on its own disk; 0 where it is not there."""
    if not path.exists():
        return 0
    words = process.run(["du", "-skx", str(path)], timeout=SECONDS).stdout.split()
    return int(words[0]) * 1024 if words and words[0].isdecimal() else 0


def _lock() -> Path:
    return paths.cache() / "in-use.lock"
