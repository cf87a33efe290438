"""What the cache folder holds, and who uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.errors import UsageError
from assay.host import cache

USES = """
import sys
from assay.host import cache
cache.use()
cache.use()
print("used", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put(path: Path, mebibytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(mebibytes * 2**20))


def test_what_it_holds_by_kind(folder: Path) -> None:
    assert cache.sizes() == {}
    put(folder / "engine/data/containerd/x", 4)
    put(folder / "engine/debian-1/usr/bin/dockerd", 2)
    put(folder / "tools/uv-1/uv", 3)
    put(folder / "base/a.tar", 5)
    put(folder / "wheels/x/y.whl", 6)
    put(folder / "strange", 7)
    found = {kind: round(size / 2**20) for kind, size in cache.sizes().items()}
    assert found == {"engine data": 4, "root file systems": 5, "tools": 5, "wheels": 6, "other": 7}


def test_what_is_linked_twice_is_counted_once(folder: Path) -> None:
    put(folder / "base/a.tar", 5)
    os.link(folder / "base/a.tar", folder / "base/b.tar")
    assert round(cache.sizes()["root file systems"] / 2**20) == 5


def test_nobody_is_alone_with_a_cache_that_is_in_use(folder: Path) -> None:
    folder.mkdir()
    with cache.alone():
        pass
    with subprocess.Popen([sys.executable, "-c", USES], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        assert user.stdin is not None
        assert user.stdout.readline() == b"used\n"
        with pytest.raises(UsageError, match=f"is in use: .*process {user.pid}") as told, cache.alone():
            pass
        assert len(str(told.value).splitlines()) == 2
        user.stdin.close()
    with cache.alone():
        pass


def test_a_user_that_was_killed_holds_nothing(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", USES], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        user.stdout.readline()
        user.kill()
        user.wait()
    with cache.alone():
        pass
