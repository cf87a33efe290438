"""Gathers how this process was started: its user, home and variables, and what the loader finds.

Standard library only.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Optional

from smoke.installed import elf
from smoke.installed.facts import Libcuda, Surroundings
from smoke.machine import host

LIBCUDA = ("libcuda.so.1", "libcuda.so")
DEFAULT_FOLDERS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu")
# The last folder that Debian's loader searches by itself: the place for a stub (label libcuda = "stub").
LAST_FOLDER = Path("/usr/lib")
LOADER_CONFIGURATION = Path("/etc/ld.so.conf")
MOST_NESTED = 8


def gather_surroundings(suite: Path, driver: Optional[str], library_folders: Iterable[Path]) -> Surroundings:
    """The surroundings of this process; ``library_folders`` are those that the environment's libraries search.

    Raises OSError or CalledProcessError where there is no ldconfig to ask.
    """
    environment = dict(os.environ)
    home = environment.get("HOME", "")
    named = [Path(folder) for folder in environment.get("LD_LIBRARY_PATH", "").split(":") if folder]
    folders = [*named, *library_folders, *configured(), *(Path(folder) for folder in DEFAULT_FOLDERS)]
    return Surroundings(
        environment,
        bool(home) and host.is_writable(Path(home)),
        os.getuid(),
        Path(sys.prefix),
        suite,
        tuple(sys.version_info[:3]),
        libcudas(folders, LAST_FOLDER),
        driver,
        cached(),
        LAST_FOLDER,
    )


def libcudas(folders: Iterable[Path], last_folder: Path) -> tuple[Libcuda, ...]:
    """The libraries of the driver's name in these folders, in the order in which the loader searches them."""
    paths = [folder / name for folder in dict.fromkeys(folders) for name in LIBCUDA]
    return tuple(
        Libcuda(path, path.resolve(), _soname(path), path.parent.resolve() == last_folder.resolve())
        for path in paths
        if os.path.lexists(str(path))
    )


def _soname(path: Path) -> str:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return elf.names(data).soname
    except (OSError, ValueError, elf.NotElf):  # ValueError: an empty file
        return ""


def cached() -> frozenset[Path]:
    """The files in the loader's cache. Raises OSError or CalledProcessError where there is no ldconfig to ask."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], stdout=subprocess.PIPE, check=True, timeout=60)
    lines = listing.stdout.decode("utf-8", "replace").splitlines()
    return frozenset(Path(line.partition(" => ")[2]) for line in lines if " => " in line)


def configured(path: Path = LOADER_CONFIGURATION, depth: int = 0) -> Iterator[Path]:
    """The folders in the loader's configuration, with what it includes. What cannot be read is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.partition("#")[0].split()
        if words[:1] == ["include"] and depth < MOST_NESTED:
            for pattern in words[1:]:
                where = Path(pattern) if pattern.startswith("/") else path.parent / pattern
                for included in sorted(where.parent.glob(where.name)):
                    yield from configured(included, depth + 1)
        elif words and words[0].startswith("/"):
            yield Path(words[0])
