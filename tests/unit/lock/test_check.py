from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from assay import catalog
from assay.errors import UsageError
from tests.unit.lock.resolver import Resolver, checked, digest, edit, write_locks


def test_locks_that_agree(locked: Path, uv: Resolver) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in locked.rglob("*.lock")}
    uv.index["torch"].append("2.2")  # newer versions do not matter,
    uv.files.append("another")  # nor do files that came since
    assert [result.image for result in checked(locked)] == ["base/trixie", "cuda/1.0", "torchy"]
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in locked.rglob("*.lock")} == before


@pytest.mark.parametrize(
    ("name", "old", "new", "fragment"),
    [
        (
            "torchy/requirements.in",
            "torch\n",
            "torch\ncuda-lib\nzlib==3\n",
            "zlib==3 is asked for, and the lock lacks it",
        ),
        ("torchy/requirements.in", "torch\n", "torch==2.0\n", "torch==2.0 is asked for, and the lock has 2.1"),
        ("torchy/requirements.in", "six<1.17\n", "", "its inputs give six 1.16 -> absent"),
        ("torchy/requirements.lock", "via -r", "via", "was edited"),
        ("torchy/requirements.lock", f"    --hash={digest('six', '1.16')}", "", "six has no hash"),
        ("torchy/requirements.lock", "six==1.16", "six==1.15", "was edited"),
        ("cuda/1.0/requirements.in", "1.0", "1.1", "images/cuda/1.0/requirements.lock: cuda-lib==1.1 is asked for"),
        ("base/trixie/image.toml", '"3.13"', '"3.14"', "written for another Python than 3.14"),
        ("base/trixie/image.toml", "2_40", "2_39", "on x86_64-manylinux_2_39"),
        ("base/trixie/image.toml", '"python3"', '"python3", "g++"', "images/base/trixie/packages.lock: g++ is to be"),
        ("base/trixie/packages.lock", "python3=", "python3 ", "packages.lock:2"),
    ],
)
def test_what_does_not_agree(locked: Path, name: str, old: str, new: str, fragment: str) -> None:
    edit(locked, name, old, new)
    before = {path: path.read_bytes() for path in locked.rglob("*.lock")}
    with pytest.raises(UsageError) as caught:
        checked(locked, "cuda/1.0", "torchy")
    assert fragment in caught.value.what
    assert "Run `assay lock " in caught.value.todo
    assert {path: path.read_bytes() for path in locked.rglob("*.lock")} == before


def test_a_line_removed(locked: Path) -> None:
    path = locked / "images/torchy/requirements.lock"
    path.write_text(re.sub(r"six==.*\n.*\n.*\n", "", path.read_text()))
    with pytest.raises(UsageError, match=r"six<1\.17 is asked for, and the lock lacks it"):
        checked(locked)


def test_one_hash_of_two_removed(root: Path, uv: Resolver) -> None:
    uv.files = ["wheel", "another"]
    write_locks(root)
    edit(root, "torchy/requirements.lock", f"    --hash={digest('six', '1.16')} \\\n", "")
    catalog.load(root)  # a lock in itself
    with pytest.raises(UsageError, match=r"images/torchy/requirements\.lock was edited"):
        checked(root)


def test_a_forged_hash_with_a_forged_seal(locked: Path) -> None:
    edit(locked, "torchy/requirements.lock", digest("six", "1.16"), digest("evil", "1.16"))
    path = locked / "images/torchy/requirements.lock"
    lines = path.read_text().splitlines(keepends=True)
    seal = hashlib.sha256("".join(lines[2:]).encode()).hexdigest()
    path.write_text("".join((lines[0], re.sub(r"sha256 \w+", f"sha256 {seal}", lines[1]), *lines[2:])))
    with pytest.raises(UsageError, match=r"six 1\.16 has a hash that the index does not know"):
        checked(locked)


def test_a_version_that_vanished(locked: Path, uv: Resolver) -> None:
    uv.index["torch"].remove("2.1")
    with pytest.raises(UsageError, match=r"its inputs give torch 2\.1 -> 2\.0"):
        checked(locked)


def test_a_lock_that_is_missing(locked: Path) -> None:
    (locked / "images/torchy/requirements.lock").unlink()
    with pytest.raises(UsageError, match=r"images/torchy/requirements\.lock is missing"):
        checked(locked)


def test_every_image_that_disagrees_is_named(locked: Path) -> None:
    edit(locked, "torchy/requirements.lock", "via -r", "via")
    edit(locked, "cuda/1.0/requirements.lock", "via -r", "via")
    with pytest.raises(UsageError) as caught:
        checked(locked)
    assert caught.value.todo == "Run `assay lock cuda/1.0 torchy`."


@pytest.mark.parametrize("name", ["g++", "headers", "src:hello"])
def test_build_tools_are_checked_with_their_image(with_tools: Path, name: str) -> None:
    assert "tools/torchy" in {result.image for result in checked(with_tools, "torchy")}
    edit(with_tools, "tools/torchy/packages.lock", f"{name}=1", f"{name}x=1")
    with pytest.raises(UsageError, match=f"{re.escape(name)} is to be included, and the lock lacks it"):
        checked(with_tools, "torchy")
