"""Files and folders that threads, commands and checkouts share: whole or not at all, made by whoever comes first."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import IO, cast

from assay.host import holders
from assay.host.holders import Holder

Tell = Callable[[str], None]
TICK = 0.1
# Whoever waits is told so again: a minute without a line looks like a hang.
SAY_EVERY = 30.0
LOOKS = 5  # before it is said that nobody says who has a lock


def silent(_text: str) -> None:
    """Tell nobody."""


def once(
    place: Path, make: Callable[[Path], None], what: str, tell: Tell, stop: threading.Event | None = None
) -> Path:
    """Return ``place``, a file or a folder; where it is not there, ``make`` fills another path that becomes it.

    One thread of one process makes it, the others wait and ``tell`` says for ``what``. When ``make`` raises, nothing
    is there, and the next one makes it. Raises `CancelledError` when ``stop`` is set while it waits.
    """
    if place.exists():
        return place
    with alone(place, what, tell, stop):
        if not place.exists():
            partial = place.with_name(f"{place.name}.partial")
            remove(partial)  # of a command that was killed: its lock is free, so nobody fills it
            try:
                make(partial)
                partial.rename(place)
            finally:
                remove(partial)
    return place


@contextlib.contextmanager
def alone(place: Path, what: str, tell: Tell, stop: threading.Event | None = None) -> Iterator[None]:
    """Hold the lock of ``place``; the kernel lets go of it when the process dies."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_name(f".{place.name}.lock"), what, tell, stop):
        yield


@contextlib.contextmanager
def locked(path: Path, what: str, tell: Tell, stop: threading.Event | None = None) -> Iterator[None]:
    """Hold the lock on a file. The file stays: to delete it would hand two processes a lock each."""
    with path.open("a") as handle:
        _wait(path, handle, what, tell, stop)
        with holders.written_into(handle, Holder.here(what)):
            yield


def taken(handle: IO[str], kind: int) -> bool:
    """Take a lock (``fcntl.LOCK_EX`` or ``LOCK_SH``) if it is free. Threads exclude each other, as processes do."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def workspace(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a temporary folder on the disk of ``parent``; what killed commands left of theirs is removed first."""
    parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        with locked(parent / f".{prefix}.lock", "", silent):
            for left in parent.glob(f"{prefix}-*.work"):
                _remove_if_left(left)
            folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-", suffix=".work", dir=parent))
            handle = held.enter_context((folder / ".lock").open("w"))
            fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def below(folder: Path) -> dict[str, Path]:
    """Return the files below a folder by their POSIX paths in it, sorted, but for what is called ``__pycache__``."""
    top = len(str(folder)) + 1
    found: dict[str, Path] = {}
    for at, folders, names in os.walk(folder):
        folders[:] = (name for name in folders if name != "__pycache__")
        for name in names:
            path = Path(at, name)
            if name != "__pycache__" and path.is_file():
                found[str(path)[top:]] = path
    return dict(sorted(found.items()))


def sha256(path: Path) -> str:
    """Return the hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; whoever reads it meanwhile sees the old one."""
    with writing(path) as file:
        file.write(data)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that is to be written whole or not at all: at the end it takes the place of an old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        partial = Path(file.name)
        try:
            yield cast("IO[bytes]", file)
            file.flush()
            partial.chmod(0o644)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _wait(path: Path, handle: IO[str], what: str, tell: Tell, stop: threading.Event | None) -> None:
    told, said, looked = 0.0, "", 0
    while not taken(handle, fcntl.LOCK_EX):
        holder = holders.read(path)
        text = f"waiting for {what}" + (f" ({holder.where})" if holder else "")
        now = time.monotonic()
        looked += 1
        # Who has taken it just now has not said so yet.
        if (holder or looked > LOOKS) and (text != said or now - told >= SAY_EVERY):
            tell(text)
            told, said = now, text
        if stop is None:
            time.sleep(TICK)
        elif stop.wait(TICK):
            raise CancelledError


def _remove_if_left(folder: Path) -> None:
    """Remove a workspace that no process holds any more."""
    try:
        with (folder / ".lock").open("a") as handle:
            if taken(handle, fcntl.LOCK_EX):
                shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # its owner was faster
