"""Surveys an environment: its distributions with their RECORDs, and its CUDA libraries with their owners.

Nothing is loaded and nothing judged. Standard library only.
"""

from __future__ import annotations

import contextlib
import csv
import mmap
import os
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Optional

from smoke.installed import elf, fatbin
from smoke.installed.cuda import CUDA
from smoke.installed.facts import Distribution, File, Library, Survey

_SUB_LIBRARY = re.compile(rb"(lib(?:cudnn_|nvrtc-builtins)[a-z_.]*\.so(?:[.0-9]*[0-9])?)\0")


def survey(root: Path, code: bool = True) -> Survey:
    """Walks everything below ``root``; reads fat binaries if ``code``. Raises OSError if it cannot be walked."""
    distributions: list[Distribution] = []
    paths, files = [], set()
    for folder, subfolders, names in os.walk(str(root), onerror=_raise):
        subfolders[:] = sorted(name for name in subfolders if name != "__pycache__")
        where = Path(folder)
        distributions += [_distribution(where / name) for name in subfolders if name.endswith(".dist-info")]
        for name in names:
            files.add(f"{folder}/{name}")
            if is_shared(name):
                paths.append(where / name)
    sites = {distribution.site for distribution in distributions}
    owners = {file.path: distribution for distribution in distributions for file in distribution.files or ()}
    read = [(path, _read(path, sites, owners.get(str(path)), code)) for path in sorted(paths)]
    shared: dict[str, list[Path]] = {}
    for path, library in read:
        if library is not None and not library.damage:
            shared.setdefault(library.soname, []).append(path)
            shared.setdefault(path.name, []).append(path)
    return Survey(
        root,
        tuple(sorted(distributions, key=lambda distribution: distribution.name)),
        tuple(library for _, library in read if library is not None and _is_cuda(library)),
        {name: tuple(dict.fromkeys(paths)) for name, paths in shared.items()},
        frozenset(files),
    )


def is_shared(name: str) -> bool:
    """True if a file of this name is a shared library, by its name."""
    return name.endswith(".so") or ".so." in name


def named_within(path: Path) -> set[str]:
    """The names of sub-libraries in a library's own text, which it loads by name and is not linked with.

    Raises NotElf, OSError.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        names = set()
        for section in elf.sections(data):
            if section.name == ".rodata":
                text = data[section.offset : section.offset + section.size]
                names |= {match.group(1).decode() for match in _SUB_LIBRARY.finditer(text)}
        return names


def _raise(why: OSError) -> None:
    raise why


def _read(path: Path, sites: set[Path], owner: Optional[Distribution], code: bool) -> Optional[Library]:
    """The library in a file; None for a file that is none (a linker script, a text)."""
    nvidia = any(path.is_relative_to(site / "nvidia") for site in sites)
    real = Path(os.path.realpath(str(path)))  # which takes links that run in a circle
    try:
        with path.open("rb") as file:
            if not elf.is_elf(file.read(6)):
                return Library(path, real, nvidia, owner=owner, damage="it is no ELF file") if nvidia else None
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                sections = elf.sections(data)
                covered = fatbin.Coverage(tuple(fatbin.containers(data, sections)) if code else ())
                return Library(path, real, nvidia, elf.names(data), owner, covered)
    except (elf.NotElf, fatbin.NotFatbin, OSError, ValueError) as why:
        return Library(path, real, nvidia, owner=owner, damage=str(why))


def _is_cuda(library: Library) -> bool:
    uses = any(CUDA.match(name) for name in library.names.needed)
    return library.nvidia or uses or bool(library.code.containers)


def _distribution(folder: Path) -> Distribution:
    about = metadata.Distribution.at(folder)
    name, _, version = folder.name[: -len(".dist-info")].partition("-")
    with contextlib.suppress(Exception):  # a broken METADATA raises what it likes; the folder's name then serves
        name, version = about.metadata["Name"] or name, about.version or version
    try:
        return Distribution(name, version, folder.parent, tuple(record(folder / "RECORD", folder.parent)))
    except FileNotFoundError:
        return Distribution(name, version, folder.parent, None)
    except (OSError, ValueError) as why:
        return Distribution(name, version, folder.parent, None, str(why))


def record(path: Path, site: Path) -> Iterator[File]:
    """The lines of a RECORD. Raises OSError, and ValueError for what is none."""
    text = path.read_text(encoding="utf-8")  # UnicodeDecodeError is a ValueError
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as why:
        raise ValueError(f"{path.name}: {why}") from None
    for row in rows:
        if not row:
            continue
        if len(row) != 3 or not row[0] or "\0" in row[0]:
            raise ValueError(f"{path.name} has a line of {len(row)} fields: {row[0][:80]!r}")
        name, digest, size = row
        if size and not (size.isascii() and size.isdigit()):
            raise ValueError(f"{path.name} has a size that is no number: {size[:80]!r}")
        yield File(os.path.normpath(f"{site}/{name}"), digest, int(size) if size else -1)
