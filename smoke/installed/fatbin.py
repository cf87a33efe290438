"""Which GPUs a library has machine code for, read from the fat binaries in its ELF sections.

A section is a row of containers, one for each file that nvcc compiled. A container is a row of entries, one for each
architecture: machine code (a cubin) or PTX, which a driver compiles. Only their headers are read, so that a library
of a gigabyte takes a fraction of a second, compressed or not. The layout is not documented: it was compared with
what cuobjdump says of real libraries, which the tests replay. Standard library only; any bytes give a value or one
NotFatbin.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from smoke.installed import elf
from smoke.installed.elf import Bytes

SECTIONS = (".nv_fatbin", "__nv_relfatbin")
MAGIC = 0xBA55ED50
PTX, CUBIN = 1, 2
ARCHITECTURE, FAMILY = 1 << 20, 1 << 21  # the flags of the kinds that end in "a" and "f"
_CONTAINER = struct.Struct("<IHHQ")  # magic, version, bytes of this header, bytes of the entries
# kind, version, bytes of this header, of the code, ..., architecture, ..., flags
_ENTRY = struct.Struct("<HHIQIIHHIIIQ")


class NotFatbin(Exception):
    """The section's bytes are not a row of fat binaries: the text says what is wrong."""


class Code(NamedTuple):
    """One entry: PTX or machine code, for an architecture ("90"), for it alone ("90a") or for its family ("100f")."""

    ptx: bool
    major: int
    minor: int
    only: str = ""

    @property
    def name(self) -> str:
        """As a compute capability is written: 9.0, 9.0a, 10.0f."""
        return f"{self.major}.{self.minor}{self.only}"

    def serves(self, major: int, minor: int) -> bool:
        """True if a GPU of this compute capability can run it.

        Machine code runs on its major from its minor up, PTX on all that is not older. The "a" kind runs on its own
        capability only, the "f" kind on its own family, which is its major.
        """
        if self.only == "a":
            return (major, minor) == (self.major, self.minor)
        if self.ptx and not self.only:
            return (major, minor) >= (self.major, self.minor)
        return major == self.major and minor >= self.minor


class Coverage(NamedTuple):
    """One library's containers, each as the set of code in it."""

    containers: tuple[frozenset[Code], ...]

    def names(self, ptx: bool) -> list[str]:
        """The architectures of the machine code or of the PTX, oldest first."""
        found = {code for container in self.containers for code in container if code.ptx == ptx}
        return [code.name for code in sorted(found)]

    def share(self, major: int, minor: int) -> tuple[int, int]:
        """In how many of the containers there is code for this capability, and how many there are."""
        served = sum(any(code.serves(major, minor) for code in container) for container in self.containers)
        return served, len(self.containers)


def containers(data: Bytes, sections: Iterable[elf.Section]) -> Iterator[frozenset[Code]]:
    """The containers of those sections that hold fat binaries. Raises NotFatbin."""
    for section in sections:
        if section.name in SECTIONS:
            for start, stop in _split(data, section.offset, section.offset + section.size):
                found = frozenset(code for code in _entries(data, start, stop))
                if found:
                    yield found


def _split(data: Bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Where each container's entries begin and end. Containers are aligned to eight bytes; zeros may lie between."""
    while at + _CONTAINER.size <= end:
        magic, _, header, size = _CONTAINER.unpack_from(data, at)
        if magic == 0:
            at += 8
            continue
        if magic != MAGIC:
            raise NotFatbin(f"at {at} a container was expected, and there is {magic:#x}")
        start, at = at + header, at + header + size
        if header < _CONTAINER.size or at > end:
            raise NotFatbin("a container is longer than its section")
        yield start, at
        at += -at % 8


def _entries(data: Bytes, at: int, stop: int) -> Iterator[Code]:
    while at < stop:
        if at + _ENTRY.size > stop:
            raise NotFatbin("an entry is longer than its container")
        kind, _, header, size, _, _, _, _, architecture, _, _, flags = _ENTRY.unpack_from(data, at)
        if header < _ENTRY.size or at + header + size > stop:
            raise NotFatbin("an entry is longer than its container")
        if kind in (PTX, CUBIN):
            only = "a" if flags & ARCHITECTURE else "f" if flags & FAMILY else ""
            yield Code(kind == PTX, architecture // 10, architecture % 10, only)
        at += header + size
