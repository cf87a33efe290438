"""What this machine is and has, apart from GPUs: container programs, CDI, room on disk; nothing is judged here."""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from assay.host import process

SECONDS = 20  # for a program to answer; a GPU that sleeps takes a few of them
LARGEST_OUTPUT = 2**16


@dataclass(frozen=True)
class Room:
    """A file system: all its bytes, and those that are free."""

    path: Path
    size: int
    free: int


def architecture() -> str:
    """Return the machine's architecture by the kernel's name for it."""
    return platform.machine()


def oci_platform() -> str:
    """Return this machine's platform as OCI names it, whose containers run on Linux: linux/arm64."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    return f"linux/{names.get(architecture().lower(), architecture().lower())}"


def in_wsl(proc: Path = Path("/proc")) -> bool:
    """Tell whether this is Windows' Subsystem for Linux: its kernels are Microsoft's and say so."""
    return "microsoft" in read_text(proc / "sys/kernel/osrelease").lower()


def version_of(*programs: str) -> str:
    """Return the first of these programs that is installed, and its version: "apptainer 1.3.4"; empty if none."""
    for program in programs:
        if shutil.which(program):
            said = process.run([program, "--version"], timeout=SECONDS)
            found = re.search(r"\d{1,5}(\.\d{1,5}){1,2}", said.stdout[:LARGEST_OUTPUT], re.ASCII)
            return f"{program} {found[0] if found else '(of unknown version)'}"
    return ""


def cdi_specifications(folders: tuple[Path, ...] = (Path("/etc/cdi"), Path("/var/run/cdi"))) -> bool:
    """Tell whether there is a CDI specification of NVIDIA's GPUs, for engines that read one (Podman, Docker)."""
    files = [path for folder in folders for end in ("yaml", "json") for path in sorted(folder.glob(f"*.{end}"))]
    return any("nvidia.com/gpu" in read_text(path) for path in files)


def room(path: Path) -> Room | None:
    """Return the file system of ``path`` or of its closest folder that exists; None if it gives no numbers."""
    place = next((folder for folder in (path, *path.parents) if folder.exists()), path)
    try:
        facts = os.statvfs(place)
    except OSError:
        return None
    return Room(place, facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize)


def read_text(path: Path) -> str:
    """Return the first 64 KiB of a file's text; empty if it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(LARGEST_OUTPUT)
    except (OSError, ValueError):
        return ""
