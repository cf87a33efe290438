"""Who builds when: one build in a checkout, and none on an engine while its build cache is dropped."""

from __future__ import annotations

import contextlib
import fcntl
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import IO

from assay.engine import Engine
from assay.host import files, holders, paths
from assay.host.files import Tell
from assay.host.holders import Holder

TICK = 0.2


@contextlib.contextmanager
def checkout_turn(root: Path, tell: Tell) -> Iterator[None]:
    """One build at a time in one checkout."""
    (root / "build").mkdir(exist_ok=True)
    with files.locked(root / "build" / ".lock", "another build in this checkout", tell):
        yield


@contextlib.contextmanager
def engine_turn(who: Holder, tell: Tell, stop: threading.Event, *, alone: bool) -> Iterator[None]:
    """Keep builds, of this checkout and of others, from losing the build cache to one that drops it.

    Raises `CancelledError` if ``stop`` is set while another one builds: a lock that is waited for could not be left.
    """
    with _engine_lock() as handle:
        told, looked = None, 0
        while not files.taken(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
            others, looked = " and ".join(map(str, holders.all_beside(_path()))), looked + 1
            # Who has taken it just now has not said so yet.
            if others != told and (others or looked > files.LOOKS):
                tell(f"waiting for {others or 'another command'}")
                told = others
            if stop.wait(TICK):
                raise CancelledError
        with holders.beside(_path(), who):
            yield


def tidy(engine: Engine) -> None:
    """Drop the build cache. While something on the engine is built from it, that build is left to do it."""
    with _engine_lock() as handle:
        if files.taken(handle, fcntl.LOCK_EX):
            with holders.beside(_path(), Holder.here("dropping the build cache")):
                engine.tidy()


def _path() -> Path:
    return paths.cache() / "builds.lock"


@contextlib.contextmanager
def _engine_lock() -> Iterator[IO[str]]:
    _path().parent.mkdir(parents=True, exist_ok=True)
    with _path().open("w") as handle:
        yield handle
