"""Reads what the static checks need of an ELF file: its sections, and of a shared library its own and others' names.

64-bit little-endian files only, which is all that CUDA libraries on Linux are. Standard library only. Whatever the
bytes are, there is a value or one NotElf.
"""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple, Union

Bytes = Union[bytes, mmap.mmap]
MAGIC = b"\x7fELF\x02\x01"  # 64-bit, little-endian
NOBITS, DYNAMIC = 8, 6
NEEDED, SONAME = 1, 14
LONGEST_NAME = 4096
HEADER = 64  # bytes of a section header


class NotElf(Exception):
    """The bytes are no ELF file that can be read: the text says what is wrong."""


class Section(NamedTuple):
    """A section: where its bytes lie in the file. ``link`` is the number of the section that it refers to."""

    name: str
    kind: int
    offset: int
    size: int
    link: int


class Names(NamedTuple):
    """A shared library's own name (empty if it has none), and the names of those that it is linked with."""

    soname: str
    needed: tuple[str, ...]


def is_elf(start: bytes) -> bool:
    """True if a file that starts with these bytes claims to be a 64-bit little-endian ELF file."""
    return start.startswith(MAGIC)


def sections(data: Bytes) -> tuple[Section, ...]:
    """The sections in the file's order. Raises NotElf."""
    if not is_elf(data[:6]):
        raise NotElf("it does not begin as a 64-bit little-endian ELF file does")
    table, size, count, names_at = _header(data)
    found = [_raw(data, table + number * size) for number in range(count)]
    if not found:
        return ()
    if names_at >= count:
        raise NotElf(f"the table of section names is section {names_at} of {count}")
    names = found[names_at]
    strings = data[names[2] : names[2] + names[3]]
    return tuple(Section(_text(strings, name), *rest) for name, *rest in found)


def names(data: Bytes) -> Names:
    """What the library is called and what it needs, from its dynamic section. Raises NotElf."""
    everything = sections(data)
    soname, needed = "", []
    for section in everything:
        if section.kind != DYNAMIC:
            continue
        if section.link >= len(everything):
            raise NotElf(f"the dynamic section's names are section {section.link} of {len(everything)}")
        at = everything[section.link]
        strings = data[at.offset : at.offset + at.size]
        table = data[section.offset : section.offset + section.size]
        for tag, value in struct.iter_unpack("<QQ", table[: len(table) // 16 * 16]):
            if tag == NEEDED:
                needed.append(_text(strings, value))
            elif tag == SONAME:
                soname = _text(strings, value)
    return Names(soname, tuple(needed))


def _header(data: Bytes) -> tuple[int, int, int, int]:
    try:
        (table,) = struct.unpack_from("<Q", data, 0x28)
        size, count, names_at = struct.unpack_from("<HHH", data, 0x3A)
    except struct.error:
        raise NotElf("it ends within its header") from None
    if count and size != HEADER:
        raise NotElf(f"its section headers are {size} bytes long, not {HEADER}")
    return table, size, count, names_at


def _raw(data: Bytes, at: int) -> tuple[int, int, int, int, int]:
    """Name (as an offset), kind, offset, size, link; a section's bytes must lie within the file."""
    if at + HEADER > len(data):
        raise NotElf("its section headers lie beyond its end")
    name, kind, _, _, offset, size, link = struct.unpack_from("<IIQQQQI", data, at)
    if kind == NOBITS:
        size = 0
    if offset + size > len(data) and size:
        raise NotElf("a section lies beyond its end: the file is cut short")
    return name, kind, offset, size, link


def _text(strings: bytes, at: int) -> str:
    end = strings.find(b"\0", at)
    if at >= len(strings) or end < 0 or end - at > LONGEST_NAME:
        raise NotElf("a name lies beyond the table of names")
    return strings[at:end].decode("utf-8", "replace")
