"""The ELF reader: a real library of this machine, made-up ones, and garbage."""

from __future__ import annotations

import _ctypes
import contextlib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smoke.installed import elf
from tests.unit.smoke.environment import library


def test_names_are_read() -> None:
    assert elf.names(library()) == elf.Names("libx.so.1", ("liby.so.2",))
    assert [one.name for one in elf.sections(library())] == ["", ".dynamic", ".dynstr", ".shstrtab", ".rodata"]


def test_a_real_library_is_read() -> None:
    data = Path(_ctypes.__file__).read_bytes()
    assert any(name.startswith("libc.so") for name in elf.names(data).needed)
    assert ".dynamic" in {one.name for one in elf.sections(data)}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7fELF",
        b"\x7fELF\x01\x01" + b"\0" * 60,
        library()[:-20],
        library()[:100],
        library()[:40] + b"\xff" * 8 + library()[48:],
        b"#!/bin/sh\n",
    ],
    ids=["empty", "start", "32-bit", "cut", "no-table", "table-nowhere", "script"],
)
def test_what_is_no_library_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(elf.NotElf):
        elf.sections(data)


@given(st.binary(max_size=300))
@example(elf.MAGIC + b"\xff" * 100)
def test_any_bytes_give_a_value_or_one_error(tail: bytes) -> None:
    for data in (tail, elf.MAGIC + tail):
        with contextlib.suppress(elf.NotElf):
            elf.names(data)


@given(st.data())
def test_a_damaged_library_gives_a_value_or_one_error(data: st.DataObject) -> None:
    whole = bytearray(library())
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(6, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(elf.NotElf):
        elf.names(bytes(whole))
