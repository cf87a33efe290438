from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assay.errors import UsageError
from assay.rootfs import Package, PackagesLock

A, B = "a" * 64, "b" * 64
ROOTFS = "c" * 64
LOCKED = (Package("libc6", "2.41-12", A), Package("zlib1g", "1:1.3.dfsg+really1.3.1-1+b1", B))
RESOLVED = datetime(2026, 11, 25, 6, 7, 8, tzinfo=UTC)


def read(tmp_path: Path, text: str) -> PackagesLock:
    path = tmp_path / "packages.lock"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return PackagesLock.read(path)


def test_a_lock_reads_back_as_it_was_written(tmp_path: Path) -> None:
    lock = PackagesLock(LOCKED, ROOTFS)
    assert read(tmp_path, lock.text("base/trixie")) == lock
    dated = PackagesLock(LOCKED, ROOTFS, RESOLVED)
    assert "# resolved 2026-11-25T06:07:08Z\n" in dated.text("base/trixie")
    assert read(tmp_path, dated.text("base/trixie")) == dated


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01T00:00:00Z", "2026-11-25", ""])
def test_a_lock_whose_time_is_none(tmp_path: Path, time: str) -> None:
    text = PackagesLock(LOCKED, ROOTFS, RESOLVED).text("base/trixie").replace("2026-11-25T06:07:08Z", time)
    with pytest.raises(UsageError, match="is no time of a lock"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("libc6=2.41-12", "libc6", ":3 is no exact, hashed package: 'libc6 sha256"),
        ("libc6=", "libc6>=", ":3 is no exact"),
        (f" sha256:{A}", "", ":3 is no exact"),
        (A, A[:-1], ":3 is no exact"),
        (A, A + " # and more", ":3 is no exact"),
        (A, A.upper(), ":3 is no exact"),
        ("libc6=", " libc6=", ":3 is no exact"),
        ("# rootfs", "# tar", "names no packages or no rootfs hash"),
        ("libc6=2.41-12 sha256:" + A + "\n", "", None),
    ],
)
def test_a_damaged_lock(tmp_path: Path, old: str, new: str, words: str | None) -> None:
    text = PackagesLock(LOCKED, ROOTFS).text("base/trixie")
    assert old in text
    if words is None:
        assert len(read(tmp_path, text.replace(old, new)).packages) == 1
        return
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text.replace(old, new))
    assert words in caught.value.what
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("data", [None, b"", b"\xff", f"# rootfs sha256:{A}\n".encode()])
def test_a_lock_that_says_nothing(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "packages.lock").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        PackagesLock.read(tmp_path / "packages.lock")
    assert len(str(caught.value).splitlines()) == 2


SHARED = f"# rootfs sha256:{A}\n"


@given(st.text() | st.lists(st.sampled_from(["a=1 sha256:" + A, SHARED, "#", "", "\x0b", "a=1"])).map("\n".join))
@example(SHARED + f"# resolved 0005-01-01T00:00:00Z\na=1 sha256:{A}")
@example(SHARED + f"a=1 sha256:{A}\u2028")
def test_whatever_a_lock_holds_it_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "locks"
    folder.mkdir(exist_ok=True)
    (folder / "packages.lock").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        lock = PackagesLock.read(folder / "packages.lock")
    except UsageError:
        return
    assert lock.packages
    assert read(folder, lock.text("x")) == lock
