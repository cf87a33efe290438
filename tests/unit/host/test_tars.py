"""What a stranger's tar holds, read within bounds."""

from __future__ import annotations

import io
import itertools
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import VerificationFailed
from assay.host import tars
from assay.host.tars import Reader, entries

MIB = 2**20


def header(kind: bytes, size: int, name: str = "a") -> bytes:
    """One header, which may say what no writer of tars would."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def extended(record: bytes) -> bytes:
    """An extended header, and the file that it is of."""
    padded = record + bytes(-len(record) % 512)
    return header(tarfile.XHDTYPE, len(record)) + padded + header(tarfile.REGTYPE, 0)


def record(name: str, value: str) -> bytes:
    """A record of an extended header, as the standard has it."""
    rest = f" {name}={value}\n".encode()
    size = next(size for size in itertools.count(len(rest)) if len(str(size)) + len(rest) == size)
    return str(size).encode() + rest


def endless(before: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: itertools.chain([before], itertools.repeat(piece))


def ended(data: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter([data, bytes(1024)])


BLOCK = b"x" * 2**16
HOSTILE: dict[str, Callable[[], Iterator[bytes]]] = {
    "an extended header of 8 GB": endless(header(tarfile.XHDTYPE, 2**33), BLOCK),
    "a long name of 8 GB": endless(header(tarfile.GNUTYPE_LONGNAME, 2**33), BLOCK),
    "a long link of 8 GB": endless(header(tarfile.GNUTYPE_LONGLINK, 2**33), BLOCK),
    "long names without end": endless(b"", header(tarfile.GNUTYPE_LONGNAME, 9) + b"a" * 512),
    "long names of nothing": endless(b"", header(tarfile.GNUTYPE_LONGNAME, 0)),
    "extended headers without end": endless(b"", header(tarfile.XHDTYPE, 512) + record("a", "b" * 505)),
    "global headers": endless(b"", header(tarfile.XGLTYPE, 512) + record("a", "b" * 505)),
    "a global header of 8 GB": endless(header(tarfile.XGLTYPE, 2**33), BLOCK),
    "a sparse file": endless(header(tarfile.GNUTYPE_SPARSE, 512), BLOCK),
    "a sparse size of 10^30": ended(extended(record("GNU.sparse.size", "1" + "0" * 30))),
    "a sparse map without end": endless(
        extended(record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0")), b"9" * 999 + b"\n"
    ),
    "a size of 10^30": endless(extended(record("size", "1" + "0" * 30)), BLOCK),
    "a size of 5000 digits": ended(extended(record("size", "9" * 5000))),
    "an owner of 5000 digits": ended(extended(record("uid", "9" * 5000))),
    "a time that is none": ended(extended(record("mtime", "nan"))),
    "an owner that is none": ended(extended(record("uid", "-1"))),
    "a header of digits": ended(extended(b"9" * 900_000)),
    "a header of small records": ended(extended(b"2 " * 400_000 + b"=")),
    "a record of nothing": ended(extended(b"0 a=b\n")),
    "a record beyond its header": ended(extended(b"999 a=b\n")),
    "a negative size": endless(header(tarfile.REGTYPE, -(2**40)), BLOCK),
    "a negative long name": endless(header(tarfile.GNUTYPE_LONGNAME, -512), BLOCK),
    "a header that breaks off": lambda: iter([header(tarfile.REGTYPE, 0) + b"x" * 100]),
    "rubbish after a file": ended(header(tarfile.REGTYPE, 0) + b"x" * 512),
    "files without end": lambda: (header(tarfile.REGTYPE, 0, f"{number}") for number in itertools.count()),
    "files of long names": lambda: (extended(record("path", f"{number}" * 9000)) for number in itertools.count()),
    "files of long links": lambda: (extended(record("linkpath", f"{number}" * 9000)) for number in itertools.count()),
    "files of names outside of Latin": lambda: (
        extended(record("path", f"{number}\U0001f600" + "x" * 9000)) for number in itertools.count()
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_tar_is_refused_in_little_memory(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(tars, "MOST_ENTRIES", 200)
    monkeypatch.setattr(tars, "LARGEST_NAMES", MIB)
    tracemalloc.start()
    try:
        with pytest.raises(VerificationFailed, match=r"is no tar|more than 200 files"):
            entries(itertools.islice(HOSTILE[kind](), 20_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB


def test_a_file_of_any_size_is_read_in_little_memory() -> None:
    size = 64 * MIB
    tracemalloc.start()
    try:
        found = entries(
            itertools.chain(
                [header(tarfile.REGTYPE, size)], itertools.repeat(BLOCK, size // len(BLOCK)), [bytes(1024)]
            )
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert list(found) == ["a"]
    assert peak < 8 * MIB


NAMES = st.text(st.characters(blacklist_characters="\0/", blacklist_categories=["Cs"]), min_size=1, max_size=150)
FILES = st.dictionaries(NAMES, st.tuples(st.sampled_from([b"0", b"1", b"2", b"5"]), NAMES, st.binary(max_size=600)))


@settings(max_examples=40)
@given(FILES, st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]), st.integers(0, 2**40))
def test_what_python_writes_is_read(files: dict[str, tuple[bytes, str, bytes]], how: int, number: int) -> None:
    """All names, and a change of any part is one of that part."""

    def made(**changed: int) -> dict[str, bytes]:
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=how) as archive:
            for name, (kind, link, data) in files.items():
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, link if kind in b"12" else ""
                member.size = len(data) if kind == b"0" else 0
                for key, value in changed.items():
                    setattr(member, key, value)
                archive.addfile(member, io.BytesIO(data))
        return entries(iter([target.getvalue()]))

    try:
        one, owner, time = made(), made(uid=number % 2**20 + 1), made(mtime=number % 2**32 + 1)
    except ValueError:
        return  # the format cannot say it
    assert set(one) == set(files)
    assert {difference.what for difference in tars.differences(one, owner)} <= {"owner"}
    assert {difference.what for difference in tars.differences(one, time)} <= {"time"}
    assert len(tars.differences(one, owner)) == len(tars.differences(one, time)) == len(files)


@given(st.lists(st.binary(max_size=9)), st.lists(st.integers(1, 20), min_size=1))
def test_chunks_read_as_a_file(chunks: list[bytes], sizes: list[int]) -> None:
    def given_out() -> Iterator[bytes]:
        yield from (chunk for chunk in chunks if chunk)

    reader, whole = Reader(given_out()), b"".join(chunks)
    for size in sizes:
        assert reader.read(size) == whole[:size]
        whole = whole[size:]
