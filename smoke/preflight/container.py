"""What the container is given: shared memory, user, home, room for temporary files, memory, processors."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path
from typing import Optional

from smoke.machine.cgroups import Machine, memory_limit, number_in, processor_limit
from smoke.machine.host import is_writable
from smoke.preflight.finding import FAIL, OK, WARN, Finding

MIB, GIB = 2**20, 2**30
SHM_REMEDY = "Start the container with --shm-size=1g, or with --ipc=host."


def shared_memory(machine: Machine) -> Finding:
    """The size of /dev/shm: 64 MB unless the container was started with more."""
    try:
        room = os.statvfs(str(machine.shm))
    except OSError:
        return Finding("shm", FAIL, "there is no /dev/shm: worker processes cannot share anything", SHM_REMEDY)
    return judge_shared_memory(room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize)


def judge_shared_memory(size: int, free: int) -> Finding:
    """The verdict on /dev/shm, by its bytes."""
    facts = {"bytes": size, "free": free}
    message = f"/dev/shm has {_bytes(size)}" + (f", {_bytes(free)} of it free" if free < size else "")  # noqa: S108
    if size < GIB:
        what = "large batches from worker processes (bus error), and collectives between GPUs, need more"
        return Finding("shm", WARN, f"{message}: {what}", SHM_REMEDY, facts)
    return Finding("shm", OK, message, facts=facts)


def user(machine: Machine) -> Finding:
    """The UID, and whether it has a name."""
    facts = {"uid": machine.uid}
    try:
        named = bool(pwd.getpwuid(machine.uid).pw_name)
    except KeyError:
        named = any(machine.environment.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME"))
    if not named:
        message = f"UID {machine.uid} has no name: what asks for the user's name fails"
        return Finding("user", WARN, message, "Set one with -e USER=me, or keep the image's entrypoint.", facts)
    more = ": files in mounted folders will belong to root" if machine.uid == 0 else ""
    return Finding("user", OK, f"UID {machine.uid}{more}", facts=facts)


def home(machine: Machine) -> Finding:
    """A HOME that can be written to: frameworks keep compiled kernels and downloads there."""
    name = machine.environment.get("HOME", "")
    facts = {"home": name}
    if not name or not is_writable(Path(name)):
        message = f"HOME ({name or 'not set'}) cannot be written to: caches of compiled kernels fail"
        return Finding("home", WARN, message, "Add --tmpfs /tmp:exec, or set HOME to a folder that can.", facts)
    return Finding("home", OK, f"{name} can be written to", facts=facts)


def scratch(machine: Machine) -> Finding:
    """Room for temporary files, where Python would put them."""
    place = temporary_folder(machine)
    remedy = "Add --tmpfs /tmp:exec, or set TMPDIR to a folder with room."
    if place is None:
        return Finding("scratch", FAIL, "there is no folder for temporary files", remedy)
    free = shutil.disk_usage(str(place)).free
    return judge_scratch(place, free, remedy)


def temporary_folder(machine: Machine) -> Optional[Path]:
    """Where Python puts temporary files; None where it can put them nowhere."""
    wanted = [machine.environment.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")]
    places = [Path(name) for name in (*wanted, "/tmp", "/var/tmp") if name]  # noqa: S108 -- tempfile's own list
    return next(filter(is_writable, places), None)


def judge_scratch(place: Path, free: int, remedy: str = "") -> Finding:
    """The verdict on the room for temporary files."""
    facts = {"folder": str(place), "free": free}
    message = f"{place} has {_bytes(free)} free"
    if free < 64 * MIB:
        return Finding("scratch", FAIL, f"{message}: the self-test needs 64 MiB", remedy, facts)
    if free < GIB:
        return Finding("scratch", WARN, f"{message}: compiling at run time may need more", remedy, facts)
    return Finding("scratch", OK, message, facts=facts)


def memory(machine: Machine) -> Finding:
    """The memory that there is: the machine's, or the container's limit."""
    total = number_in(machine.proc / "meminfo", "MemTotal:") * 1024
    limit = memory_limit(machine)
    limited = limit is not None and (not total or limit < total)
    size = limit if limit is not None and limited else total
    facts = {"bytes": size, "limited": limited}
    message = "{} {}".format(_bytes(size), "by the container's limit" if limited else "of memory, no limit")
    if not size:
        return Finding("memory", WARN, "not known: neither /proc/meminfo nor a limit can be read", "", facts)
    if size < 2 * GIB:
        remedy = "Give the container more with --memory." if limited else "Take a machine with more."
        return Finding("memory", WARN, f"{message}: the self-test may be killed below 2 GiB", remedy, facts)
    return Finding("memory", OK, message, facts=facts)


def processors(machine: Machine) -> Finding:
    """The cores that this process may run on, and the share of them that the container is given."""
    quota = processor_limit(machine)
    facts = {"cores": machine.cores, "limit": quota}
    message = "{} core{}".format(machine.cores, "" if machine.cores == 1 else "s")
    if quota is not None and quota < machine.cores:
        threads = max(1, round(quota))
        message = f"{message}, and the container is given the time of {quota:g}: too many threads slow it down"
        return Finding("cpu", WARN, message, f"Add -e OMP_NUM_THREADS={threads}, or use --cpuset-cpus.", facts)
    return Finding("cpu", OK, message, facts=facts)


def _bytes(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"
