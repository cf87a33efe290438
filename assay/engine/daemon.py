"""Whether a daemon of ours lives: by its pid file, by its process, by what it holds locked."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

PROCESSES = Path("/proc")


def pid_of(path: Path, program: str, marks: Iterable[str]) -> int | None:
    """Return the id of the program that has one of the marks in its arguments; None where none has.

    It is the one in the pid file, unless that was lost or is of another process: then any that runs.
    """
    with contextlib.suppress(OSError, ValueError):
        if _is_it(pid := int(path.read_text()), program, marks):
            return pid
    running = (int(each.name) for each in PROCESSES.glob("[0-9]*"))
    return next((pid for pid in running if _is_it(pid, program, marks)), None)


def is_locked(path: Path) -> bool:
    """Return whether a process holds a lock on a file, wherever it runs."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _is_it(pid: int, program: str, marks: Iterable[str]) -> bool:
    """Whether a process is that, and not another engine's or a later process with the same id."""
    try:
        command = (PROCESSES / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    named = Path(os.fsdecode(command[0])).name == program
    return named and any(os.fsencode(mark) in argument for argument in command for mark in marks)
