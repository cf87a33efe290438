"""What keeps this machine busy, and what machine it is: whoever measures seconds has to know both."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from assay.host import machine

PROC = Path("/proc")
MOST_NAMED = 3
IDLE = (3, 4)  # idle, and waiting for a disk, among the times of /proc/stat


@dataclass(frozen=True)
class Busy:
    """How many processors were kept busy, also by other guests of the same host, and by whom most, by name."""

    processors: float
    by: tuple[str, ...] = ()


def busy(seconds: float, proc: Path = PROC) -> Busy:
    """Look for some seconds what the machine does. This process itself sleeps meanwhile."""
    before, theirs = _times(proc), _processes(proc)
    time.sleep(seconds)
    after = _times(proc)
    passed = [max(0, b - a) for a, b in zip(before, after, strict=True)]
    share = 1 - sum(passed[at] for at in IDLE) / max(1, sum(passed))
    now = _processes(proc)
    worked = {one: ticks - theirs.get(one, 0) for one, ticks in now.items()}
    most = sorted((one for one in worked if worked[one] > 0), key=lambda one: -worked[one])
    return Busy(round(share * processors(), 2), tuple(f"{name} ({pid})" for pid, name in most[:MOST_NAMED]))


def processors() -> int:
    """The processors of the machine."""
    return os.cpu_count() or 1


def usable() -> tuple[int, ...]:
    """The numbers of the processors that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))


def processor(proc: Path = PROC) -> str:
    """The processor's name, as the kernel has it."""
    return _named(proc / "cpuinfo", "model name") or machine.architecture()


def memory_bytes(proc: Path = PROC) -> int:
    """The machine's memory in bytes; 0 where the kernel does not say."""
    kib = _named(proc / "meminfo", "MemTotal").removesuffix("kB").strip()
    return int(kib) * 1024 if kib.isdecimal() else 0


def kernel() -> str:
    """The kernel's release."""
    return os.uname().release


def _named(path: Path, name: str) -> str:
    for line in machine.read_text(path).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _times(proc: Path) -> list[int]:
    """The ticks that all processors together spent on each kind of work; without those of guests, counted twice."""
    first = machine.read_text(proc / "stat").partition("\n")[0].split()
    return [int(word) for word in first[1:9]]


def _processes(proc: Path) -> dict[tuple[int, str], int]:
    """The ticks of each process, by its number and name."""
    found: dict[tuple[int, str], int] = {}
    for path in proc.glob("[0-9]*/stat"):
        before, _, after = machine.read_text(path).rpartition(")")
        words = after.split()
        if len(words) > 12:
            found[int(path.parent.name), before.partition("(")[2]] = int(words[11]) + int(words[12])
    return found
