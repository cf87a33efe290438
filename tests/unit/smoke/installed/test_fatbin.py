"""GPU coverage from a library's own bytes: against what cuobjdump said of real libraries, and against garbage."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smoke.installed import elf, fatbin
from smoke.installed.fatbin import Code, Coverage
from smoke.installed.served import Served

RECORDED = sorted(Path(__file__).with_name("fatbin").glob("*.json.gz"))


def put_back(path: Path, into: Path) -> dict[str, Any]:
    """The recorded headers at their places in a file that is otherwise a hole."""
    data: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    with into.open("wb") as file:
        file.truncate(data["size"])
        for at, piece in data["pieces"]:
            file.seek(at)
            file.write(base64.b64decode(piece))
    return data


def entry(kind: int, architecture: int, flags: int = 0x11, payload: bytes = b"\0" * 8, header: int = 64) -> bytes:
    fields = (kind, 0x101, header, len(payload), 0, 0, 0, 1, architecture, 0, 0, flags)
    return struct.pack("<HHIQIIHHIIIQ", *fields).ljust(header, b"\0") + payload


def container(*entries: bytes) -> bytes:
    body = b"".join(entries)
    return struct.pack("<IHHQ", fatbin.MAGIC, 1, 16, len(body)) + body


def read(data: bytes) -> list[frozenset[Code]]:
    return list(fatbin.containers(data, [elf.Section(".nv_fatbin", 1, 0, len(data), 0)]))


def test_at_least_three_libraries_are_recorded() -> None:
    assert len(RECORDED) >= 3


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name.removesuffix(".json.gz"))
def test_a_real_library_is_read_as_cuobjdump_reads_it(path: Path, tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    data = put_back(path, library)
    whole = library.read_bytes()
    containers = fatbin.containers(whole, elf.sections(whole))
    found = Counter(f"{'ptx' if c.ptx else 'elf'} {c.major}{c.minor}{c.only}" for codes in containers for c in codes)
    assert found == data["said"]


@pytest.mark.parametrize(
    ("code", "serves", "not_serves"),
    [
        (Code(False, 8, 0), [(8, 0), (8, 6), (8, 9)], [(7, 5), (9, 0)]),
        (Code(False, 8, 6), [(8, 6)], [(8, 0), (9, 0)]),
        (Code(False, 9, 0, "a"), [(9, 0)], [(9, 1), (10, 0)]),
        (Code(False, 10, 0, "f"), [(10, 0), (10, 3)], [(9, 0), (11, 0), (12, 0)]),
        (Code(True, 7, 0), [(7, 0), (7, 5), (8, 0), (12, 1)], [(6, 1)]),
        (Code(True, 9, 0, "a"), [(9, 0)], [(8, 9), (10, 0)]),
        (Code(True, 12, 0, "f"), [(12, 0), (12, 1)], [(10, 0), (13, 0)]),
    ],
    ids=str,
)
def test_what_code_serves(code: Code, serves: list[tuple[int, int]], not_serves: list[tuple[int, int]]) -> None:
    assert all(code.serves(*one) for one in serves)
    assert not any(code.serves(*one) for one in not_serves)


def test_a_capability_is_served_only_if_every_container_serves_it() -> None:
    """MXNet 1.9.1's wheels: 5.0, 6.0, 7.0, 8.0 and 8.6 and no PTX, so that no GPU of 9.0 or later can run them."""
    old = frozenset(Code(False, *one) for one in ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6)))
    served = ["5.0", "5.2", "6.0", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9"]
    assert Served((Coverage((old, old)),)).wholly() == served
    newer = Coverage((old, frozenset({Code(False, 9, 0)})))
    assert (Served((newer,)).wholly(), Served((newer,)).partly()) == ([], [*served, "9.0"])
    assert newer.share(9, 0) == (1, 2)
    assert (Served(()).wholly(), Served(()).partly()) == ([], [])


def test_what_no_code_serves_is_said_in_words() -> None:
    def unserved(*codes: Code) -> str:
        return Served((Coverage((frozenset(codes),)),)).unserved()

    assert unserved(Code(False, 8, 9)) == "no code for compute capability 9.0 and later"
    assert unserved(Code(False, 2, 0)) == "no code for compute capability 3.5 and later"
    assert unserved(Code(True, 5, 0)) == ""


def test_padding_between_containers_and_unknown_kinds_are_passed_over() -> None:
    data = container(entry(2, 80), entry(16, 99)) + b"\0" * 24 + container(entry(1, 120, flags=0x200011))
    assert read(data) == [frozenset({Code(False, 8, 0)}), frozenset({Code(True, 12, 0, "f")})]


@pytest.mark.parametrize(
    "data",
    [
        b"\x01" * 16,
        container(entry(2, 80))[:-1],
        struct.pack("<IHHQ", fatbin.MAGIC, 1, 8, 0) + b"\0" * 16,
        container(entry(2, 80, header=64)[:40]),
        container(entry(2, 80, header=64).replace(struct.pack("<I", 64), struct.pack("<I", 0), 1)),
        struct.pack("<IHHQ", fatbin.MAGIC, 1, 16, 2**63),
    ],
    ids=["no-magic", "cut", "short-header", "short-entry", "no-progress", "huge"],
)
def test_what_is_no_row_of_containers_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(fatbin.NotFatbin):
        read(data)


@given(st.binary(max_size=400))
@example(container(entry(2, 80))[:100])
def test_any_section_gives_a_value_or_one_error(data: bytes) -> None:
    with contextlib.suppress(fatbin.NotFatbin):
        read(data)


@given(st.data())
def test_a_damaged_container_gives_a_value_or_one_error(data: st.DataObject) -> None:
    whole = bytearray(container(entry(2, 80), entry(1, 90, 0x8011)) + container(entry(2, 100, 0x200011)))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(fatbin.NotFatbin):
        read(bytes(whole))
