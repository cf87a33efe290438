"""What may be done in the folders that frameworks write to: run compiled code, keep results."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path
from typing import Optional

from smoke.machine.cgroups import Machine
from smoke.machine.host import is_writable
from smoke.preflight.container import temporary_folder
from smoke.preflight.finding import FAIL, OK, WARN, Finding


def executable(machine: Machine, compiles: bool) -> Finding:
    """Whether what is compiled into the folder of temporary files, or into the home, can be loaded from there."""
    home = machine.environment.get("HOME", "")
    places = [place for place in (temporary_folder(machine), Path(home) if home else None) if place is not None]
    return judge_executable({str(place): can_execute(place) for place in places}, compiles)


def judge_executable(places: dict[str, Optional[bool]], compiles: bool) -> Finding:
    """The verdict on the folders; None where no file can be made. ``compiles`` as in Promise."""
    refused = [place for place, can in places.items() if can is False]
    facts = {"folders": places}
    if any(places.values()) and not refused:
        shown = " and ".join(place for place, can in places.items() if can)
        return Finding("exec", OK, f"compiled code can be run from {shown}", facts=facts)
    if not refused:
        message = "compiled code has no place: neither temporary files nor a home can be written"
    else:
        message = "compiled code cannot be run from {}, mounted noexec: what compiles into it fails to load".format(
            " nor from ".join(refused)
        )
    state = FAIL if compiles and not any(places.values()) else WARN
    # Docker mounts every --tmpfs noexec, unless it is told otherwise.
    remedy = " ".join(f"--tmpfs {place}:exec" for place in refused[:1] or ["/tmp"])  # noqa: S108
    return Finding(
        "exec", state, message, f"Mount it with {remedy}, or set TMPDIR and HOME to folders that can.", facts
    )


def can_execute(folder: Path) -> Optional[bool]:
    """Whether a file there can be mapped as a library is. None if none can be made there."""
    try:
        with tempfile.TemporaryFile(dir=str(folder)) as file:
            file.write(b"\0" * mmap.PAGESIZE)
            file.flush()
            try:
                mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()
            except PermissionError:
                return False
    except (OSError, ValueError):  # a full disk, say: nothing is known of it
        return None
    return True


def working_folder(machine: Machine) -> Finding:
    """Whether results can be written where commands are run."""
    try:
        place = Path.cwd()
    except OSError as why:
        return Finding("workdir", WARN, f"there is no working folder ({why.strerror})", "Name one with -w.")
    facts = {"folder": str(place)}
    if is_writable(place):
        return Finding("workdir", OK, f"{place} can be written to", facts=facts)
    message = f"the working folder {place} cannot be written to by UID {machine.uid}"
    if os.statvfs(str(place)).f_flag & os.ST_RDONLY:
        remedy = 'Mount one that can: -v "$PWD:/work" -w /work.'
    else:
        remedy = 'Add --user "$(id -u)" if the folder is yours, or name another one with -w.'
    return Finding("workdir", WARN, message, remedy, facts)
