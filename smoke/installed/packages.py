"""Installed files against the digests in their RECORDs. Standard library only."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Optional

from smoke.installed.survey import Distribution, File, Survey

BLOCK = 1 << 20
BATCH = 250
READERS = 4  # at least, however few the cores: most disks give more to several readers than to one
# What making a virtual environment puts beside the packages, and no RECORD lists.
OF_THE_ENVIRONMENT = ("_virtualenv.py", "_virtualenv.pth")


def oldest(package: str, needed: str) -> str:
    """The oldest version of ``needed`` that an installed package's own metadata asks for; empty if it names none."""
    for line in metadata.requires(package) or ():
        name, _, rest = line.partition(";")[0].partition(">=")
        if re.split(r"[<>=!~ (]", name, maxsplit=1)[0] == needed:
            return rest.split(",")[0].strip(" )")
    return ""


def changed(distributions: Iterable[Distribution]) -> list[str]:
    """The files that are missing, or are not as their RECORD has them; each with what is wrong."""
    files = sorted((file for one in distributions for file in one.files or ()), key=lambda file: -file.size)
    large = sum(file.size >= BLOCK for file in files)
    readers = max(READERS, len(os.sched_getaffinity(0)))
    # Forked processes: with tens of thousands of small files, threads would mostly wait for each other.
    with ProcessPoolExecutor(readers, get_context("fork")) as pool:
        one_by_one = pool.map(difference, files[:large])
        by_the_batch = pool.map(difference, files[large:], chunksize=BATCH)
        return sorted(found for found in (*one_by_one, *by_the_batch) if found)


def difference(file: File) -> str:
    """What is wrong with one file; empty if it is as its RECORD has it.

    A few wheels bring byte code (NumPy 1 does), which the image's build makes anew, as it makes all byte code.
    """
    algorithm, _, wanted = file.digest.partition("=")
    if file.digest and algorithm not in hashlib.algorithms_available:
        return f"{file.path} has a digest of an unknown kind, {algorithm[:20]!r}"
    try:
        size = Path(file.path).stat().st_size
        if file.path.endswith(".pyc") and compiled_anew(Path(file.path)):
            return ""
        if file.size >= 0 and size != file.size:
            return f"{file.path} has {size} bytes, its RECORD says {file.size}"
        if file.digest and digest(Path(file.path), algorithm) != wanted.rstrip("="):
            return f"{file.path} is not as it was installed: its {algorithm} differs"
    except OSError as why:
        return f"{file.path} cannot be read: {why.strerror}"
    return ""


def compiled_anew(path: Path) -> bool:
    """True for byte code that the image's build made of the source beside it, which is held to its own digest.

    Raises OSError.
    """
    try:
        source = Path(importlib.util.source_from_cache(str(path)))
    except ValueError:  # not in a __pycache__, or not named as Python names it
        return False
    unchecked = (1).to_bytes(4, "little")  # a flag of PEP 552
    header = importlib.util.MAGIC_NUMBER + unchecked + importlib.util.source_hash(source.read_bytes())
    with path.open("rb") as file:
        return file.read(len(header)) == header


def digest(path: Path, algorithm: str) -> str:
    """A file's digest as RECORDs write it. Raises OSError, and ValueError for an unknown algorithm."""
    found = hashlib.new(algorithm)
    with path.open("rb", buffering=0) as file:
        while True:
            block = file.read(BLOCK)
            if not block:
                break
            found.update(block)
    return base64.urlsafe_b64encode(found.digest()).rstrip(b"=").decode()


def unlisted(found: Survey) -> list[str]:
    """The files beside the packages that no RECORD lists; byte code is not counted."""
    listed = {file.path for one in found.distributions for file in one.files or ()}
    sites = {str(one.site) + os.sep for one in found.distributions}
    return sorted(
        path
        for path in found.files - listed
        if path.startswith(tuple(sites))
        and not path.endswith(".pyc")
        and path.rpartition("/")[2] not in OF_THE_ENVIRONMENT
    )


def without_record(distributions: Iterable[Distribution]) -> list[str]:
    """The distributions whose files cannot be judged, each with the reason."""
    return [f"{one.name} {one.damage or 'has no RECORD'}" for one in distributions if one.files is None]


def conflicts(said: str, code: Optional[int]) -> list[str]:
    """What ``pip check`` found: its lines, if it ended with anything but success."""
    return [] if code == 0 else [line for line in said.splitlines() if line.strip()] or ["it said nothing"]


def differences(locked: Mapping[str, str], found: Mapping[str, set[str]]) -> list[str]:
    """What of the lock is missing or of another version, each named with both versions."""
    wrong = []
    for name, version in sorted(locked.items()):
        versions = found.get(normal_name(name), set())
        if not versions:
            wrong.append(f"{name} {version} is locked and not installed")
        elif {normal_version(one) for one in versions} != {normal_version(version)}:
            wrong.append("{} {} is locked, {} is installed".format(name, version, " and ".join(sorted(versions))))
    return wrong


def installed() -> dict[str, set[str]]:
    """Every installed distribution's versions; two of one name are both kept, since that is a fault of its own."""
    found: dict[str, set[str]] = {}
    for one in metadata.distributions():
        name = one.metadata["Name"]
        if name:  # a folder left over by a broken uninstall has none
            found.setdefault(normal_name(name), set()).add(one.version)
    return found


def normal_name(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return name.lower().replace("_", "-").replace(".", "-")


def normal_version(version: str) -> str:
    """A version without leading zeros, which locks drop and metadata keep (2026.07.04 and 2026.7.4 are one)."""
    parts = version.lower().split(".")
    return ".".join(str(int(one)) if one.isdigit() else one for one in parts)
