"""Who builds when: one build in a checkout, and none on an engine while its build cache is dropped.

Beside a lock lies a folder with a file per holder, which says who that is. A holder's file is locked for as long as
the holder lives, so that the file of one that was killed is known for what it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import IO

import msgspec

from assay import paths
from assay.engine import Engine

TICK = 0.2
LARGEST_HOLDER = 8192  # bytes

Tell = Callable[[str], None]


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock: a process, the checkout that it builds in, and what it does there: an image's name."""

    pid: int
    checkout: str
    what: str

    def __str__(self) -> str:
        where = "in this command" if self.pid == os.getpid() else f"in {self.checkout}, process {self.pid}"
        return f"{self.what} ({where})"


@contextlib.contextmanager
def checkout_turn(root: Path, tell: Tell) -> Iterator[None]:
    """One build at a time in one checkout."""
    who = Holder(os.getpid(), str(root), "another build")
    with _held(root / "build" / ".lock", fcntl.LOCK_EX, who, tell, threading.Event()):
        yield


@contextlib.contextmanager
def engine_turn(who: Holder, tell: Tell, stop: threading.Event, *, alone: bool) -> Iterator[None]:
    """Keep builds, of this checkout and of others, from losing the build cache to one that drops it.

    Raises `CancelledError` if ``stop`` is set while another one builds: a lock that is waited for could not be left.
    """
    with _held(_engine_lock(), fcntl.LOCK_EX if alone else fcntl.LOCK_SH, who, tell, stop):
        yield


def tidy(engine: Engine) -> None:
    """Drop the build cache. While something on the engine is built from it, that build is left to do it."""
    with _opened(_engine_lock()) as handle:
        if _taken(handle, fcntl.LOCK_EX):
            with _named(_engine_lock(), Holder(os.getpid(), str(Path.cwd()), "dropping the build cache")):
                engine.tidy()


def holders(lock: Path) -> list[Holder]:
    """Who holds a lock now; the files of those that were killed are removed."""
    found = []
    for path in sorted(_folder(lock).glob("*.holder")):
        with contextlib.suppress(OSError, msgspec.DecodeError, RecursionError), path.open("rb") as handle:
            if _taken(handle, fcntl.LOCK_SH):
                path.unlink(missing_ok=True)
            else:
                found.append(msgspec.json.decode(handle.read(LARGEST_HOLDER), type=Holder))
    return found


@contextlib.contextmanager
def _held(lock: Path, kind: int, who: Holder, tell: Tell, stop: threading.Event) -> Iterator[None]:
    with _opened(lock) as handle:
        told = None
        while not _taken(handle, kind):
            others = " and ".join(str(one) for one in holders(lock)) or "another command"
            if others != told:
                tell(f"waiting for {others}")
                told = others
            if stop.wait(TICK):
                raise CancelledError
        with _named(lock, who):
            yield


@contextlib.contextmanager
def _named(lock: Path, who: Holder) -> Iterator[None]:
    """Say who holds the lock, for as long as it is held."""
    with tempfile.NamedTemporaryFile(dir=_folder(lock), suffix=".partial", delete=False) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(msgspec.json.encode(who))
        file.flush()
        path = Path(file.name).with_suffix(".holder")
        Path(file.name).rename(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _engine_lock() -> Path:
    return paths.cache() / "builds.lock"


def _folder(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.holders")


@contextlib.contextmanager
def _opened(lock: Path) -> Iterator[IO[str]]:
    _folder(lock).mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        yield handle


def _taken(handle: IO[str] | IO[bytes], kind: int) -> bool:
    """Take a lock if it is free; the kernel lets go of it when the file is closed."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
