"""Whether processes and threads can be started: a few are, and are ended at once."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import subprocess
import threading
from dataclasses import dataclass
from typing import Optional

from smoke.machine.cgroups import Machine, groups, words
from smoke.preflight.finding import FAIL, OK, WARN, Finding

PROCESSES, THREADS = 4, 64
WAITING = ["/bin/cat"]  # a small program that waits until its input is closed
CLONE3 = 435  # the number of the system call, the same on every architecture


@dataclass(frozen=True)
class Started:
    """How many could be started, and the error where these are not all."""

    processes: int
    threads: int
    error: str = ""


@dataclass(frozen=True)
class Limits:
    """What may stand against more processes. None is no limit, or one that cannot be read.

    ``pids`` is the control group's pids.max and ``used`` what is used of it; ``nproc`` is RLIMIT_NPROC; ``clone3`` is
    what the kernel answers to that system call (EINVAL or ENOSYS are as it should be).
    """

    pids: Optional[int] = None
    used: int = 0
    nproc: Optional[int] = None
    clone3: str = ""

    @property
    def room(self) -> Optional[int]:
        """How many more processes and threads the control group allows."""
        return None if self.pids is None else max(0, self.pids - self.used)


def processes(machine: Machine) -> Finding:
    """Starts a few processes and threads."""
    known = limits(machine)
    return judge_processes(attempt(), known, machine.cores)


def judge_processes(started: Started, known: Limits, cores: int) -> Finding:
    """The verdict on what could be started. Threads count as processes for each of the limits."""
    facts = {
        "processes": started.processes,
        "threads": started.threads,
        "pids_max": known.pids,
        "pids_used": known.used,
        "nproc": known.nproc,
    }
    message = (
        f"{started.processes} of {PROCESSES} processes and {started.threads} of {THREADS} threads could be started"
    )
    if started.error:
        why, remedy = _reason(started, known)
        return Finding("processes", FAIL, f"{message}: {why}", remedy, facts)
    needed = PROCESSES * cores + THREADS
    if known.room is not None and known.room < needed:
        less = f"the container may have {known.pids} processes and threads, {known.used} of them are there"
        why = f"{less}: {PROCESSES} data workers with a thread for each core may not fit"
        return Finding("processes", WARN, why, f"Start the container with --pids-limit={_rounded(needed)}.", facts)
    return Finding("processes", OK, f"{PROCESSES} processes and {THREADS} threads could be started", facts=facts)


def _reason(started: Started, known: Limits) -> tuple[str, str]:
    if started.error == os.strerror(errno.EMFILE):
        return started.error, "Start the container with --ulimit nofile=65536."
    # glibc 2.34 and later starts threads with clone3, and falls back on clone only if the answer is ENOSYS.
    if known.clone3 == "EPERM" and not started.threads:
        why = "the seccomp profile refuses the system call clone3 with EPERM, as that of old Dockers does"
        return why, "Use a later Docker, runc and libseccomp, or add --security-opt seccomp=unconfined."
    if known.room is not None and known.room < PROCESSES + THREADS:
        why = f"the container may have {known.pids} processes and threads (pids.max), {known.used} of them are there"
        return why, "Start the container with a higher --pids-limit; -1 is none."
    if known.nproc is not None:
        why = f"{started.error} (this UID may have {known.nproc} processes, those outside the container included)"
        return why, "Start the container with --ulimit nproc=-1."
    return started.error, "See the options --memory and --security-opt, and the limits of the machine itself."


def _rounded(number: int) -> int:
    return max(1024, 2 ** (number - 1).bit_length() * 2)


def attempt() -> Started:
    """Starts them, all at the same time, and ends them."""
    children: list[subprocess.Popen[bytes]] = []
    threads: list[threading.Thread] = []
    done = threading.Event()
    try:
        for _ in range(PROCESSES):
            children.append(subprocess.Popen(WAITING, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))  # noqa: PERF401
        for _ in range(THREADS):
            thread = threading.Thread(target=done.wait, daemon=True)
            thread.start()
            threads.append(thread)
    except OSError as why:
        return Started(len(children), len(threads), os.strerror(why.errno or 0))
    except (RuntimeError, MemoryError) as why:
        return Started(len(children), len(threads), str(why) or "out of memory")
    finally:
        done.set()
        for thread in threads:
            thread.join()
        for child in children:
            child.communicate()
    return Started(len(children), len(threads))


def limits(machine: Machine) -> Limits:
    """What is known of the limits."""
    nproc = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    of_root = machine.uid == 0  # whom RLIMIT_NPROC does not bind
    # The tightest one counts: each group above has a limit of its own.
    folders = [*groups(machine, ""), *groups(machine, "pids")]
    found = [(number(words(one, "pids.max")), number(words(one, "pids.current"))) for one in folders]
    known = [(most, used or 0) for most, used in found if most is not None]
    pids, used = min(known, key=lambda pair: pair[0] - pair[1], default=(None, 0))
    return Limits(pids, used, None if nproc < 0 or of_root else nproc, clone3())


def number(told: list[str]) -> Optional[int]:
    """The number that a control file holds; None for "max", or where there is none."""
    return int(told[0]) if told and told[0].isascii() and told[0].isdigit() else None


def clone3() -> str:
    """What the kernel answers to a clone3 without arguments, which starts nothing: EINVAL, unless it was refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(CLONE3), None, ctypes.c_size_t(0)) >= 0:
        return ""
    return errno.errorcode.get(ctypes.get_errno(), "")
