"""Run a container with a folder that it may write to, and read what it left there as an enemy's.

Any UID has to be able to write into the folder, so that others on this machine could too: it lies in one that they
cannot enter. What is in it when the container has ended is neither followed nor believed.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from assay.engine.containers import RunRequest, RunResult
from assay.engine.docker import Engine
from assay.errors import VerificationFailed

MOUNT = "/run/assay"
SHARED = "shared"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TODO = "Look at what the image does there; one that does not come from you is not to be trusted."


def run_with_folder(
    engine: Engine, request: RunRequest, given: Mapping[str, bytes], wanted: str, limit: int
) -> tuple[RunResult, bytes | VerificationFailed]:
    """Run a container to its end, with the given files in a folder that is mounted at ``/run/assay``.

    Returns how it ended, and the content of the file ``wanted`` in that folder: at most ``limit`` bytes of a plain
    file; else what is wrong, to be raised once it is known how the container ended. Raises what `Engine.run` raises.
    """
    top = Path(tempfile.mkdtemp(prefix="assay-run-"))  # of mode 0700: nobody else gets in
    held = _held(top)
    try:
        shared = _filled(held, given)
        try:
            ran = engine.run(dataclasses.replace(request, mounts={**request.mounts, top / SHARED: MOUNT}))
            left = _read(shared, wanted, limit)
        finally:
            os.close(shared)
    finally:
        stays = _remove(held, top)
        os.close(held)
    return ran, stays or left


def _held(top: Path) -> int:
    """The folder itself, whatever is put in its place: where TMPDIR is not as /tmp is, others can rename in it."""
    held = os.open(top, FOLDER)
    facts = os.fstat(held)
    if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) != 0o700:
        os.close(held)
        raise VerificationFailed(f"{top} was put in place of a folder of ours", "Set TMPDIR to one that is yours.")
    return held


def _filled(top: int, given: Mapping[str, bytes]) -> int:
    os.mkdir(SHARED, dir_fd=top)
    shared = os.open(SHARED, FOLDER, dir_fd=top)
    for name, data in given.items():
        with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=shared), "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o644)
    os.fchmod(shared, 0o777)  # the container's user is none of this machine's
    return shared


def _read(folder: int, name: str, limit: int) -> bytes | VerificationFailed:
    try:
        # A link would lead elsewhere, and a pipe would never open.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            return _plain(descriptor, name, limit)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return VerificationFailed(f"the container left no {name}", "Read its last output, and run it again.")
    except OSError as error:
        return VerificationFailed(f"what the container left as {name} cannot be read: {error.strerror}", _TODO)


def _plain(descriptor: int, name: str, limit: int) -> bytes | VerificationFailed:
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        return VerificationFailed(f"what the container left as {name} is no plain file", _TODO)
    if facts.st_size > limit:
        return VerificationFailed(f"the container's {name} is larger than {limit >> 20} MiB", _TODO)
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(limit)  # no one else has it open: the container has ended


def _remove(held: int, top: Path) -> VerificationFailed | None:
    """Remove a folder with all that is in it, however deeply it is nested; says so where that cannot be done.

    No path grows, no folder stays open and nothing recurs: each folder inside is first moved up to the top.
    """
    try:
        _empty(held)
        top.rmdir()
    except OSError as error:
        return VerificationFailed(
            f"the container left what cannot be removed from {top}: {error.strerror}", f"As root: rm -rf {top}"
        )
    return None


def _empty(top: int) -> None:
    names = (str(number) for number in itertools.count())
    waiting = os.listdir(top)
    while waiting:
        name = waiting.pop()
        folder = os.open(name, FOLDER, dir_fd=top)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(next(names))
                        os.rename(entry.name, waiting[-1], src_dir_fd=folder, dst_dir_fd=top)
                    else:
                        os.unlink(entry.name, dir_fd=folder)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=top)
