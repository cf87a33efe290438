from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from assay import catalog, rootfs
from assay.catalog.pins import read_pins
from assay.errors import BuildFailed, UsageError
from assay.host import process
from assay.host.process import Completed
from tests.unit.lock.resolver import UNREACHABLE, Resolver, edit, write_locks


def test_stacks_come_first_and_are_contained(root: Path, uv: Resolver) -> None:
    results = write_locks(root)
    assert [result.image for result in results] == ["cuda/1.0", "torchy"]
    assert results[1].changes == ("cuda-lib absent -> 1.0", "six absent -> 1.16", "torch absent -> 2.1")
    images = catalog.load(root)  # and this holds every lock against its stack
    assert read_pins(images.get("torchy").lock or Path())["cuda-lib"].version == "1.0"
    assert (root / "images/torchy/requirements.lock").stat().st_mode & 0o777 == 0o644


def test_the_second_time_nothing_is_written(locked: Path) -> None:
    before = (locked / "images/torchy/requirements.lock").stat().st_mtime_ns
    assert [result.written for result in write_locks(locked)] == [False, False]
    assert (locked / "images/torchy/requirements.lock").stat().st_mtime_ns == before


def test_pins_stay_unless_an_upgrade_is_asked_for(root: Path, uv: Resolver) -> None:
    uv.index["torch"] = ["2.0"]
    write_locks(root)
    uv.index["torch"] = ["2.0", "2.1"]
    assert [result.changes for result in write_locks(root)] == [(), ()]
    assert write_locks(root, "torchy", upgrade=True)[0].changes == ("torch 2.0 -> 2.1",)


def test_a_stack_that_changes_takes_along_what_is_above(locked: Path) -> None:
    edit(locked, "cuda/1.0/requirements.in", "1.0", "1.1")
    results = write_locks(locked, "cuda/1.0")
    assert {result.image: result.changes for result in results} == {
        "cuda/1.0": ("cuda-lib 1.0 -> 1.1",),
        "torchy": ("cuda-lib 1.0 -> 1.1",),
    }
    catalog.load(locked)


def test_a_stack_without_a_lock_gets_one(root: Path, uv: Resolver) -> None:
    assert [result.image for result in write_locks(root, "torchy")] == ["cuda/1.0", "torchy"]


def test_hashes_of_the_stack_are_taken_over(locked: Path, uv: Resolver) -> None:
    """A wheel for yet another platform, added to the index since, must not set two locks apart."""
    uv.files = ["wheel", "another"]
    edit(locked, "torchy/requirements.in", "six<1.17", "six")
    write_locks(locked, "torchy", upgrade=True)
    images = catalog.load(locked)
    assert len(read_pins(images.get("torchy").lock or Path())["six"].hashes) == 2


def test_a_damaged_lock_keeps_its_pins(locked: Path, uv: Resolver) -> None:
    uv.index["torch"].append("2.2")
    path = locked / "images/torchy/requirements.lock"
    path.write_bytes(b"<<<<<<< ours\n\xff" + path.read_bytes() + b">>>>>>> theirs\n")
    result = write_locks(locked)[1]
    assert result.written
    assert not result.changes
    catalog.load(locked)


def test_all_locks_or_none(locked: Path, uv: Resolver) -> None:
    before = {path: path.read_bytes() for path in locked.rglob("*.lock")}
    edit(locked, "cuda/1.0/requirements.in", "1.0", "1.1")
    resolve, uv.answer = uv.__call__, None

    def fails_later(argv: Sequence[str], **options: object) -> Completed:
        if len(uv.calls) == 1:
            uv.calls.clear()
            return Completed(2, "", UNREACHABLE)
        return resolve(argv, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "run", fails_later)
        with pytest.raises(BuildFailed):
            write_locks(locked)
    assert {path: path.read_bytes() for path in locked.rglob("*.lock*")} == before


def test_a_failure_to_write_leaves_no_trace(root: Path, uv: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BuildFailed, match=r"requirements\.lock cannot be written: No space left"):
        write_locks(root)
    assert not list(root.rglob("*requirements.lock*"))


def test_a_base_moves_only_when_it_is_named(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = rootfs.Package("python3", "3.13.6-1", "1" * 64)
    monkeypatch.setattr(rootfs, "lock", lambda image, on_step: rootfs.PackagesLock((package,), "1" * 64))
    assert "base/trixie" not in {result.image for result in write_locks(locked, upgrade=True)}
    results = write_locks(locked, "base/trixie")
    assert results[0].changes == ("python3 3.13.5-1 -> 3.13.6-1",)
    (locked / "images/base/trixie/packages.lock").unlink()
    assert "base/trixie" in {result.image for result in write_locks(locked)}


def test_build_tools_are_locked_where_they_are_named(with_tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = rootfs.Package("g++", "2", "1" * 64)
    monkeypatch.setattr(rootfs, "lock", lambda image, on_step: rootfs.PackagesLock((package,), "1" * 64))
    assert "tools/torchy" not in {result.image for result in write_locks(with_tools, upgrade=True)}
    assert "g++ 1 -> 2" in write_locks(with_tools, "tools/torchy")[0].changes
    (with_tools / "images/tools/torchy/packages.lock").unlink()
    assert "tools/torchy" in {result.image for result in write_locks(with_tools)}


def test_a_lock_says_nothing_about_this_machine(locked: Path) -> None:
    text = (locked / "images/torchy/requirements.lock").read_text()
    assert text.startswith("# Written by `assay lock torchy` from requirements.in; do not edit.\n")
    assert "# via -r images/torchy/requirements.in" in text
    assert not re.search(r"https?:|file:|/tmp|/home|/root", text)


def test_a_lock_holds_what_only_the_stack_asks_for(locked: Path, uv: Resolver) -> None:
    (locked / "images/torchy/requirements.in").write_text("six\n")
    write_locks(locked, "torchy")
    assert set(read_pins(locked / "images/torchy/requirements.lock")) == {"cuda-lib", "six"}


@pytest.mark.parametrize("value", ["", 'python = "3"', 'python = "newest"'])
def test_a_python_that_is_not_said(root: Path, uv: Resolver, value: str) -> None:
    edit(root, "base/trixie/image.toml", 'python="3.13"', value)
    with pytest.raises(UsageError, match=r"cuda/1\.0: labels\.python is not set"):
        write_locks(root)


def test_options_in_the_requirements_are_refused(root: Path, uv: Resolver) -> None:
    edit(root, "cuda/1.0/requirements.in", "cuda-lib", "--pre\ncuda-lib")
    with pytest.raises(UsageError, match=r"images/cuda/1\.0/requirements\.in:1: '--pre' is no requirement"):
        write_locks(root)
    assert not uv.calls
