"""Run a container with files that it is given and one file that it may write, and read that one as an enemy's.

Each file is mounted by itself: the container can neither replace the one that it writes nor put another beside it, so
that there is no link to follow, no pipe to wait for and no folder to clear. How large it may get, the container's own
limit says. The files lie in a folder that nobody else on this machine can enter.
"""

from __future__ import annotations

import dataclasses
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from assay.engine.containers import RunRequest, RunResult
from assay.engine.docker import Engine
from assay.errors import VerificationFailed

MOUNT = "/run/assay"


def run_with_files(
    engine: Engine, request: RunRequest, given: Mapping[str, bytes], wanted: str, limit: int
) -> tuple[RunResult, bytes | VerificationFailed]:
    """Run a container to its end, with the given files and the empty file ``wanted`` in ``/run/assay``.

    Returns how it ended, and what it wrote into ``wanted``: at most ``limit`` bytes; else what is wrong, to be raised
    once it is known how the container ended. Raises what `Engine.run` raises.
    """
    top = Path(tempfile.mkdtemp(prefix="assay-run-"))  # of mode 0700: nobody else gets in
    held = _held(top)
    try:
        for name, data in {**given, wanted: b""}.items():
            # The container's user is none of this machine's.
            _write(held, name, data, 0o666 if name == wanted else 0o644)
        theirs = {top / name: f"{MOUNT}/{name}" for name in given}
        mounts = {**request.mounts, top / wanted: f"{MOUNT}/{wanted}"}
        ran = engine.run(dataclasses.replace(request, given={**request.given, **theirs}, mounts=mounts))
        left = _read(held, wanted, limit)
    finally:
        stays = _remove(held, top)
        os.close(held)
    return ran, stays or left


def _held(top: Path) -> int:
    """The folder itself, whatever is put in its place: where TMPDIR is not as /tmp is, others can rename in it."""
    held = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    facts = os.fstat(held)
    if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) != 0o700:
        os.close(held)
        raise VerificationFailed(f"{top} was put in place of a folder of ours", "Set TMPDIR to one that is yours.")
    return held


def _write(folder: int, name: str, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=folder), "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)


def _read(folder: int, name: str, limit: int) -> bytes | VerificationFailed:
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), "rb") as file:
        data = file.read(limit + 1)
    if not data:
        return VerificationFailed(f"the container left no {name}", "Read its last output, and run it again.")
    if len(data) > limit:
        return VerificationFailed(
            f"the container's {name} is larger than {limit >> 20} MiB",
            "Look at what the image does there; one that does not come from you is not to be trusted.",
        )
    return data


def _remove(folder: int, top: Path) -> VerificationFailed | None:
    try:
        for name in os.listdir(folder):
            os.unlink(name, dir_fd=folder)
        top.rmdir()
    except OSError as error:
        return VerificationFailed(f"{top} cannot be removed: {error.strerror}", f"As its owner: rm -r {top}")
    return None
