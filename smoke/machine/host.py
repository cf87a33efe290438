"""What the machine is, as seen from inside: taken down in the report, never judged here. Standard library only."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from smoke.machine import cgroups

# "NVIDIA UNIX x86_64 Kernel Module  535.104.05", "NVIDIA UNIX Open Kernel Module for x86_64  580.65.06"
KERNEL_MODULE = r"Kernel Module(?: +for +\S+)? +(\d[\d.]*)"


@dataclass(frozen=True)
class Host:
    """The machine, as the report has it. Unknown facts are None or empty.

    ``gpu`` has a line for each GPU, and ``driver`` is the version of NVIDIA's kernel module; both only where a GPU is
    declared.
    """

    cpu: str
    cores: int
    memory_bytes: str
    kernel: str
    uid: int
    shm_bytes: int
    gpu: tuple[str, ...]
    driver: Optional[str]

    @property
    def capabilities(self) -> tuple[tuple[int, int], ...]:
        """The compute capabilities of the GPUs."""
        matches = (re.search(r", (\d+)\.(\d+),", line) for line in self.gpu)
        return tuple((int(match.group(1)), int(match.group(2))) for match in matches if match)

    def as_json(self) -> dict[str, Any]:
        """The machine as plain data."""
        return {**dataclasses.asdict(self), "gpu": list(self.gpu)}


def describe(device: str) -> Host:
    """CPU, memory, kernel, user, /dev/shm and, if one is declared, the GPUs."""
    return Host(
        cpu=_match("/proc/cpuinfo", r"^model name\s*:\s*(.+)$") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=str(memory_bytes()),
        kernel=platform.release(),
        uid=os.getuid(),
        shm_bytes=shm_bytes(),
        gpu=_gpus() if device == "gpu" else (),
        driver=driver() if device == "gpu" else None,
    )


def driver() -> Optional[str]:
    """The version of NVIDIA's kernel module; None if none is loaded."""
    return _match("/proc/driver/nvidia/version", KERNEL_MODULE)


def is_writable(folder: Path) -> bool:
    """Whether a file can be made there. It is tried: what access() says of root and of mounts is not always so."""
    try:
        with tempfile.TemporaryFile(dir=str(folder)):
            return True
    except OSError:
        return False


def has_gpu_device() -> bool:
    """True if the machine shows this process an NVIDIA device, with a working driver or not."""
    return any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/dxg"))


def memory_bytes() -> int:
    """The memory that this process may use: the machine's, or the container's limit if that is lower."""
    machine = cgroups.Machine(os.environ, os.getuid())
    total = cgroups.number_in(machine.proc / "meminfo", "MemTotal:") * 1024
    limit = cgroups.memory_limit(machine)
    return total if limit is None else min(total, limit)


def shm_bytes() -> int:
    """The size of /dev/shm in bytes; 0 if there is none."""
    return _shm("f_blocks")


def shm_room() -> int:
    """The bytes of /dev/shm that are free; 0 if there is none."""
    return _shm("f_bavail")


def _shm(blocks: str) -> int:
    try:
        room = os.statvfs("/dev/shm")  # noqa: S108 -- its size is asked for, nothing is put there
    except OSError:
        return 0
    return int(getattr(room, blocks)) * room.f_frsize


def _gpus() -> tuple[str, ...]:
    """One line per GPU from nvidia-smi: name, compute capability, memory, UUID."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    query = [command, "--query-gpu=name,compute_cap,memory.total,uuid,driver_version", "--format=csv,noheader"]
    try:
        listing = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(listing.stdout.decode("utf-8", "replace").splitlines()) if listing.returncode == 0 else ()


def _match(path: str, pattern: str) -> Optional[str]:
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(pattern, text, re.MULTILINE)
    return match.group(1).strip() if match else None
