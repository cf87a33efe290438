"""Who holds a lock, so that whoever waits can say for whom.

The holder of an exclusive lock is written into the lock's file. Where several hold a lock together, each has a file
beside it, locked for as long as the holder lives: the file of one that was killed is known for what it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

LARGEST = 8192  # bytes of what is read of a holder


class Holder(msgspec.Struct, frozen=True):
    """A process, the checkout that it works in, and what it does there, such as an image's name."""

    pid: int
    checkout: str
    what: str

    @classmethod
    def here(cls, what: str, checkout: Path | None = None) -> Holder:
        """This process, in a checkout or else in its working folder."""
        where = os.fsencode(checkout or Path.cwd()).decode(errors="replace")  # a name may be no UTF-8
        return cls(os.getpid(), where, what)

    @property
    def where(self) -> str:
        """Which command it is, in words."""
        return "in this command" if self.pid == os.getpid() else f"in {self.checkout}, process {self.pid}"

    def __str__(self) -> str:
        return f"{self.what} ({self.where})"


@contextlib.contextmanager
def written_into(handle: IO[str], who: Holder) -> Iterator[None]:
    """Say in the lock's own open file who holds it, for as long as that is so."""
    try:
        handle.truncate(0)
        handle.write(msgspec.json.encode(who).decode())
        handle.flush()
        yield
    finally:
        handle.truncate(0)


def read(lock: Path) -> Holder | None:
    """Who is written into a lock's file; None where nobody is, or nobody that can be read."""
    try:
        with lock.open("rb") as handle:
            return msgspec.json.decode(handle.read(LARGEST), type=Holder)
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        return None


@contextlib.contextmanager
def beside(lock: Path, who: Holder) -> Iterator[None]:
    """Say in a file beside a lock who holds it too, for as long as that is so."""
    _folder(lock).mkdir(parents=True, exist_ok=True)
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


def all_beside(lock: Path) -> list[Holder]:
    """Who holds a lock now; the files of those that were killed are removed."""
    found = []
    for path in sorted(_folder(lock).glob("*.holder")):
        with contextlib.suppress(OSError, ValueError, RecursionError), path.open("rb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(msgspec.json.decode(handle.read(LARGEST), type=Holder))
            else:
                path.unlink(missing_ok=True)
    return found


def _folder(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.holders")
