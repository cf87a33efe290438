"""Gathers what is installed: the versions, and the files held against the digests in their RECORDs.

Standard library only.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path

from smoke.installed.facts import Distribution, File, Packages, Pip, Survey
from smoke.installed.names import normal_name

BLOCK = 1 << 20
BATCH = 250
LONGEST = 240  # seconds for pip's check
READERS = 4  # at least, however few the cores: most disks give more to several readers than to one
# What making a virtual environment puts beside the packages, and no RECORD lists.
OF_THE_ENVIRONMENT = ("_virtualenv.py", "_virtualenv.pth")


def gather_packages(found: Survey, path: Iterable[str]) -> Packages:
    """The packages of an environment; ``path`` are the folders that Python imports from. Raises TimeoutExpired."""
    folders = set(path)
    own = tuple(distribution for distribution in found.distributions if str(distribution.site) in folders)
    beside = outside(found.root)
    return Packages(own, tuple(changed(own)), tuple(unlisted(found)), installed(), pip_check(), beside)


def oldest(package: str, needed: str) -> str:
    """The oldest version of ``needed`` that an installed package's own metadata asks for; empty if it names none."""
    for line in metadata.requires(package) or ():
        name, _, rest = line.partition(";")[0].partition(">=")
        if re.split(r"[<>=!~ (]", name, maxsplit=1)[0] == needed:
            return rest.split(",")[0].strip(" )")
    return ""


def changed(distributions: Iterable[Distribution]) -> list[str]:
    """The files that are missing, or are not as their RECORD has them; each with what is wrong."""
    files = [file for distribution in distributions for file in distribution.files or ()]
    files.sort(key=lambda file: -file.size)
    large = sum(file.size >= BLOCK for file in files)
    readers = max(READERS, len(os.sched_getaffinity(0)))
    # Forked processes: with tens of thousands of small files, threads would mostly wait for each other.
    with ProcessPoolExecutor(readers, get_context("fork")) as pool:
        one_by_one = pool.map(difference, files[:large])
        by_the_batch = pool.map(difference, files[large:], chunksize=BATCH)
        return sorted(wrong for wrong in (*one_by_one, *by_the_batch) if wrong)


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
    checked = (3).to_bytes(4, "little")  # the flags of PEP 552: by a hash, which is looked at
    header = importlib.util.MAGIC_NUMBER + checked + importlib.util.source_hash(source.read_bytes())
    with path.open("rb") as file:
        return file.read(len(header)) == header


def digest(path: Path, algorithm: str) -> str:
    """A file's digest as RECORDs write it. Raises OSError, and ValueError for an unknown algorithm."""
    hashed = hashlib.new(algorithm)
    with path.open("rb", buffering=0) as file:
        while True:
            block = file.read(BLOCK)
            if not block:
                break
            hashed.update(block)
    return base64.urlsafe_b64encode(hashed.digest()).rstrip(b"=").decode()


def unlisted(found: Survey) -> list[str]:
    """The files beside the packages that no RECORD lists; byte code is not counted."""
    listed = {file.path for distribution in found.distributions for file in distribution.files or ()}
    sites = {str(distribution.site) + os.sep for distribution in found.distributions}
    return sorted(
        path
        for path in found.files - listed
        if path.startswith(tuple(sites))
        and not path.endswith(".pyc")
        and path.rpartition("/")[2] not in OF_THE_ENVIRONMENT
    )


def installed() -> dict[str, set[str]]:
    """Every installed distribution's versions; two of one name are both kept, since that is a fault of its own."""
    versions: dict[str, set[str]] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # a folder left over by a broken uninstall has none
            versions.setdefault(normal_name(name), set()).add(distribution.version)
    return versions


def outside(root: Path) -> dict[str, str]:
    """The distributions that Python finds in other folders than those below ``root``, with the folder of each."""
    found = {}
    for distribution in metadata.distributions():
        name, folder = distribution.metadata["Name"], Path.cwd() / str(distribution.locate_file(""))
        if name and not folder.is_relative_to(root):
            found.setdefault(normal_name(name), str(folder))
    return found


def pip_check() -> Pip:
    """What ``pip check`` says of this environment. Raises TimeoutExpired."""
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=LONGEST,
    )
    return Pip(pip.returncode, pip.stdout.decode("utf-8", "replace"))
