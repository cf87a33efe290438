"""The limits of memory and processor time that this process runs under. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional


@dataclass(frozen=True)
class Machine:
    """Where things are looked up; the tests hand in folders of their own."""

    environment: Mapping[str, str]
    uid: int
    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")
    shm: Path = Path("/dev/shm")  # noqa: S108 -- its size is asked for
    cores: int = 1


def memory_limit(machine: Machine) -> Optional[int]:
    """The least limit of this process's control groups, of either version; None without one."""
    found = [*_limits(machine, "", "memory.max"), *_limits(machine, "memory", "memory.limit_in_bytes")]
    numbers_ = [int(one[0]) for one in found if one[0].isascii() and one[0].isdigit()]
    return min((one for one in numbers_ if one < 2**60), default=None)  # version 1 writes "none" as a huge number


def processor_limit(machine: Machine) -> Optional[float]:
    """The container's share of time in cores; None without a limit."""
    found = [*_limits(machine, "", "cpu.max")]
    quotas = _limits(machine, "cpu", "cpu.cfs_quota_us")
    found += [quota + period for quota, period in zip(quotas, _limits(machine, "cpu", "cpu.cfs_period_us"))]
    shares = [
        int(one[0]) / int(one[1])
        for one in found
        if len(one) == 2 and all(word.isascii() and word.isdigit() for word in one) and int(one[1])
    ]
    return min(shares, default=None)


def groups(machine: Machine, controller: str) -> list[Path]:
    """The folders of this process's control group and of those above it: of version 2 for "", else of version 1.

    Most containers see their own group as the root; one that shares the host's sees the path to it in /proc.
    """
    top = machine.cgroup / controller
    folders = [top]
    for line in _text(machine.proc / "self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if (controller in names.split(",")) if controller else not names:
            parts = [one for one in path.split("/") if one not in ("", "..", ".")]
            folders += [top.joinpath(*parts[: count + 1]) for count in range(len(parts))]
    return list(dict.fromkeys(folders))


def words(folder: Path, name: str) -> list[str]:
    """The words of a control file; none where it cannot be read."""
    return _text(folder / name).split()


def _limits(machine: Machine, controller: str, name: str) -> list[list[str]]:
    found = [words(folder, name) for folder in groups(machine, controller)]
    return [one for one in found if one]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""


def number_in(path: Path, key: str) -> int:
    """The number after ``key`` in a file such as /proc/meminfo; 0 where there is none."""
    for line in _text(path).splitlines():
        words = line.split()
        if words[:1] == [key] and len(words) > 1 and words[1].isascii() and words[1].isdigit():
            return int(words[1])
    return 0
