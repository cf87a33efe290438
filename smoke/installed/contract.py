"""What an image promises to whoever starts it: user, home, paths, NVIDIA's variables, and no driver in the way.

Everything is handed in, so that a test can break each promise. Standard library only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from smoke.installed import elf

DRIVER_LIBRARIES = ("libcuda.so.1", "libcuda.so")
DEFAULT_FOLDERS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu")
# The last folder that Debian's loader searches by itself: the place for a stub (label libcuda = "stub").
LAST_FOLDER = Path("/usr/lib")
LOADER_CONFIGURATION = Path("/etc/ld.so.conf")
MOST_NESTED = 8
Broken = tuple[str, str]  # what is wrong, and the remedy


@dataclass(frozen=True)
class Surroundings:
    """The process as it was started; ``prefix`` is the environment's folder, ``suite`` the smoke suite's own.

    ``cached`` are the files that the loader's cache names, which come before any folder that it searches by itself.
    """

    environment: Mapping[str, str]
    uid: int
    prefix: Path
    suite: Path
    python: tuple[int, ...]
    loader_folders: tuple[Path, ...]
    driver: Optional[str]
    cached: frozenset[Path] = frozenset()
    last_folder: Path = LAST_FOLDER


def here(suite: Path, driver: Optional[str], library_folders: Iterable[Path] = ()) -> Surroundings:
    """The surroundings of this process; ``library_folders`` are those that the environment's libraries search."""
    environment = dict(os.environ)
    named = [Path(one) for one in environment.get("LD_LIBRARY_PATH", "").split(":") if one]
    folders = [*named, *library_folders, *configured(), *(Path(one) for one in DEFAULT_FOLDERS)]
    return Surroundings(
        environment,
        os.getuid(),
        Path(sys.prefix),
        suite,
        tuple(sys.version_info[:3]),
        tuple(dict.fromkeys(folders)),
        driver,
        cached(),
    )


def cached() -> frozenset[Path]:
    """The files in the loader's cache. Raises OSError or CalledProcessError where there is no ldconfig to ask."""
    told = subprocess.run(["/sbin/ldconfig", "-p"], stdout=subprocess.PIPE, check=True, timeout=60)
    lines = told.stdout.decode("utf-8", "replace").splitlines()
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


def broken(now: Surroundings, labels: Mapping[str, str], device: str) -> list[Broken]:
    """The promises that are not kept."""
    found = [*_user(now), *_path(now), *_python(now, labels)]
    if "cuda" in labels:
        found += [*_nvidia(now, device), *_driver(now, labels.get("libcuda") == "stub")]
    return found


def _user(now: Surroundings) -> Iterator[Broken]:
    if now.uid == 0:
        yield "it runs as root", "Give the image an ordinary USER, and start it without --user 0."
    home = now.environment.get("HOME", "")
    if not home:
        yield "HOME is not set", "Set HOME in the image, to a folder that any user may write to."
    elif not _writable(home):
        yield (
            f"HOME ({home}) cannot be written to",
            "Start the image with its own entrypoint, which finds a place, and with --tmpfs /tmp if it is read-only.",
        )
    if not now.environment.get("USER"):
        yield "USER is not set", "Set USER in the image: a UID without a passwd entry has no other name."


def _writable(folder: str) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _path(now: Surroundings) -> Iterator[Broken]:
    """The environment stands first, behind nothing but the suite's own folder, which holds no Python."""
    own = {str(now.suite.parent / "bin")}
    entries = [one for one in now.environment.get("PATH", "").split(":") if one not in own]
    wanted = now.prefix / "bin"
    if not entries or Path(entries[0]) != wanted:
        yield f"PATH begins with {entries[0] if entries else 'nothing'}, not {wanted}", f"Put {wanted} first in PATH."


def _python(now: Surroundings, labels: Mapping[str, str]) -> Iterator[Broken]:
    label = labels.get("python", "")
    have = ".".join(str(one) for one in now.python)
    if not label:
        yield "no Python is promised", "Give the image the label python."
    elif have.split(".")[: len(label.split("."))] != label.split("."):
        yield f"Python {label} is promised, {have} runs", "Correct the label python, or the base image."


def _nvidia(now: Surroundings, device: str) -> Iterator[Broken]:
    visible = now.environment.get("NVIDIA_VISIBLE_DEVICES", "")
    # On a machine with CDI the engine itself sets "void": the devices come another way.
    if not visible or (device == "cpu" and visible in ("void", "none")):
        yield (
            f"NVIDIA_VISIBLE_DEVICES is {visible or 'not set'}",
            "Set NVIDIA_VISIBLE_DEVICES=all in the image: the NVIDIA runtime gives no GPU without it.",
        )
    capabilities = set(now.environment.get("NVIDIA_DRIVER_CAPABILITIES", "").split(","))
    if "all" not in capabilities and not {"compute", "utility"} <= capabilities:
        yield (
            "NVIDIA_DRIVER_CAPABILITIES is {}".format(",".join(sorted(capabilities)) or "not set"),
            "Set NVIDIA_DRIVER_CAPABILITIES=compute,utility in the image.",
        )


def _driver(now: Surroundings, stub: bool) -> Iterator[Broken]:
    """No libcuda but a driver's, or but the one stub that is declared and yields to a driver's."""
    there = [folder / name for folder in now.loader_folders for name in DRIVER_LIBRARIES]
    there = [library for library in there if os.path.lexists(str(library))]
    if stub and not there:
        yield (
            "a stub of libcuda is promised, and there is none",
            "Correct the label libcuda, or build the image again.",
        )
    for library in there:
        if is_driver(library, now.driver):
            continue
        if not stub:
            yield (
                f"{library} is not the driver's, and lies where the loader looks first or too",
                "Move it where only a process without a driver looks, or take it out.",
            )
        elif not _yields(library, now):
            yield (
                f"{library} is not the driver's, and may be found before it",
                f"Put a stub into {now.last_folder}, with another soname than {library.name}: no cache will name it.",
            )


def _yields(stub: Path, now: Surroundings) -> bool:
    """True if the loader finds every real library first: the stub is in its last folder and can be in no cache.

    ldconfig enters a file under the soname that the file itself bears.
    """
    try:
        soname = elf.names(stub.read_bytes()).soname
    except (OSError, elf.NotElf):
        return False
    last = stub.parent.resolve() == now.last_folder.resolve()
    named = str(now.last_folder) in now.environment.get("LD_LIBRARY_PATH", "").split(":")
    return last and not named and soname not in ("", *DRIVER_LIBRARIES) and stub not in now.cached


def is_driver(library: Path, running: Optional[str]) -> bool:
    """True if this libcuda comes with a driver: its file bears a driver's version, the running one's if one runs."""
    version = re.fullmatch(r"libcuda\.so\.(\d+(?:\.\d+){1,2})", library.resolve().name)
    return version is not None and (running is None or version.group(1) == running or "compat" in library.parts)
