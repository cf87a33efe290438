"""Who builds when: one build in a checkout, and none on an engine while its build cache is dropped."""

from __future__ import annotations

import contextlib
import fcntl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TextIO

from assay import paths
from assay.engine import Engine


@contextlib.contextmanager
def locked(root: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """One build at a time in one checkout; the kernel lets go of the lock when a command dies."""
    folder = root / "build"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        if not _taken(handle, fcntl.LOCK_EX):
            tell("waiting for another build in this checkout")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def engine_turn(tell: Callable[[str], None], stop: threading.Event, *, alone: bool) -> Iterator[None]:
    """Keep builds, of this checkout and of others, from losing the build cache to one that drops it.

    Raises `CancelledError` if ``stop`` is set while another one builds: a lock that is waited for could not be left.
    """
    with _engine_lock() as handle:
        kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        if not _taken(handle, kind):
            tell("waiting for another build on this engine")
            while not _taken(handle, kind):
                if stop.wait(0.2):
                    raise CancelledError
        yield


def tidy(engine: Engine) -> None:
    """Drop the build cache. While something on the engine is built from it, that build is left to do it."""
    with _engine_lock() as handle:
        if _taken(handle, fcntl.LOCK_EX):
            engine.tidy()


def _engine_lock() -> TextIO:
    paths.cache().mkdir(parents=True, exist_ok=True)
    return (paths.cache() / "builds.lock").open("w")


def _taken(handle: TextIO, kind: int) -> bool:
    """Take a lock if it is free; the kernel lets go of it when the file is closed."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
