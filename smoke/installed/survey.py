"""What lies in an environment: its distributions with their RECORDs, and its CUDA libraries with their owners.

Facts only, nothing is loaded and nothing judged. Standard library only.
"""

from __future__ import annotations

import contextlib
import csv
import mmap
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple, Optional

from smoke.installed import elf, fatbin

# The libraries that CUDA consists of, by the beginnings of their names.
CUDA = re.compile(
    r"lib(cudart|cublas|cublasLt|cudnn(_\w+)?|cufft|cufftw|curand|cusolver|cusolverMg|cusparse|cusparseLt|nccl|nvrtc"
    r"(-builtins)?(\.alt)?|nvJitLink|cupti|cufile|nvToolsExt|nvshmem_host|nvvm|nvblas|cuda|nvidia-ml)\.so(\.|$)"
)
# What only a driver brings.
DRIVER = re.compile(r"lib(cuda|nvidia-[\w-]+|nvcuvid|nvoptix)\.so(\.|$)")
_NO_NAMES, _NO_CODE = elf.Names("", ()), fatbin.Coverage(())
_SUB_LIBRARY = re.compile(rb"(lib(?:cudnn_|nvrtc-builtins)[a-z_.]*\.so(?:[.0-9]*[0-9])?)\0")


class File(NamedTuple):
    """A line of a RECORD: the file, and its digest and size where the line has them ("" and -1 where not).

    The path is a text: there are tens of thousands of them, and Path objects would take seconds.
    """

    path: str
    digest: str
    size: int


@dataclass(frozen=True)
class Distribution:
    """An installed distribution. ``files`` is None without a RECORD; ``damage`` says why one cannot be read."""

    name: str
    version: str
    site: Path
    files: Optional[tuple[File, ...]]
    damage: str = ""


@dataclass(frozen=True)
class Library:
    """A CUDA library, or one that uses CUDA. ``damage`` is not empty for a file that is no readable ELF file."""

    path: Path
    nvidia: bool
    names: elf.Names = _NO_NAMES
    owner: Optional[Distribution] = None
    code: fatbin.Coverage = _NO_CODE
    damage: str = ""

    @property
    def soname(self) -> str:
        """The library's own name, or that of its file where it has none."""
        return self.names.soname or self.path.name


@dataclass(frozen=True)
class Survey:
    """A whole environment. ``shared`` maps the names of all shared libraries in it to their files."""

    root: Path
    distributions: tuple[Distribution, ...]
    libraries: tuple[Library, ...]
    shared: Mapping[str, tuple[Path, ...]]
    files: frozenset[str]


def survey(root: Path, code: bool = True) -> Survey:
    """Walks everything below ``root``; reads fat binaries if ``code``. Raises OSError if it cannot be walked."""
    distributions: list[Distribution] = []
    found, files = [], set()
    for folder, subfolders, names in os.walk(str(root), onerror=_raise):
        subfolders[:] = sorted(name for name in subfolders if name != "__pycache__")
        where = Path(folder)
        distributions += [_distribution(where / name) for name in subfolders if name.endswith(".dist-info")]
        for name in names:
            files.add(f"{folder}/{name}")
            if is_shared(name):
                found.append(where / name)
    sites = {one.site for one in distributions}
    owners = {file.path: one for one in distributions for file in one.files or ()}
    read = [(path, _read(path, sites, owners.get(str(path)), code)) for path in sorted(found)]
    shared: dict[str, list[Path]] = {}
    for path, library in read:
        if library is not None and not library.damage:
            shared.setdefault(library.soname, []).append(path)
            shared.setdefault(path.name, []).append(path)
    return Survey(
        root,
        tuple(sorted(distributions, key=lambda one: one.name)),
        tuple(library for _, library in read if library is not None and _is_cuda(library)),
        {name: tuple(dict.fromkeys(paths)) for name, paths in shared.items()},
        frozenset(files),
    )


def is_shared(name: str) -> bool:
    """True if a file of this name is a shared library, by its name."""
    return name.endswith(".so") or ".so." in name


def missing(found: Survey) -> Iterator[tuple[Distribution, Path]]:
    """The shared libraries that a RECORD lists and that are not there."""
    for one in found.distributions:
        for file in one.files or ():
            if is_shared(file.path.rpartition("/")[2]) and not Path(file.path).exists():
                yield one, Path(file.path)


def own_libraries(found: Survey) -> list[Library]:
    """The framework's libraries with code in them. NVIDIA's are left out: they choose among their kernels themselves,
    keep some outside these sections, and have containers that are for one architecture by design.
    """
    return [one for one in found.libraries if one.code.containers and not one.nvidia]


def named_within(path: Path) -> set[str]:
    """The names of sub-libraries in a library's own text, which it loads by name and is not linked with.

    Raises NotElf, OSError.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = set()
        for section in elf.sections(data):
            if section.name == ".rodata":
                text = data[section.offset : section.offset + section.size]
                found |= {one.group(1).decode() for one in _SUB_LIBRARY.finditer(text)}
        return found


def _raise(why: OSError) -> None:
    raise why


def _read(path: Path, sites: set[Path], owner: Optional[Distribution], code: bool) -> Optional[Library]:
    """The library in a file; None for a file that is none (a linker script, a text)."""
    nvidia = any(path.is_relative_to(site / "nvidia") for site in sites)
    try:
        with path.open("rb") as file:
            if not elf.is_elf(file.read(6)):
                return Library(path, nvidia, owner=owner, damage="it is no ELF file") if nvidia else None
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                sections = elf.sections(data)
                covered = fatbin.Coverage(tuple(fatbin.containers(data, sections)) if code else ())
                return Library(path, nvidia, elf.names(data), owner, covered)
    except (elf.NotElf, fatbin.NotFatbin, OSError, ValueError) as why:
        return Library(path, nvidia, owner=owner, damage=str(why))


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
