"""Where Assay keeps things."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from assay.errors import UsageError
from assay.host import paths
from tests.conftest import ROOT


def test_what_this_assay_came_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkout that it is installed from, or the folder in the wheel."""
    assert paths.release() == ROOT
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "assay/host/paths.py"))
    (tmp_path / "assay/release").mkdir(parents=True)
    assert paths.release() == tmp_path / "assay/release"


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(UsageError) as caught:
        paths.require_own(folder)
    assert len(str(caught.value).splitlines()) == 2
    assert "ASSAY_CACHE" in caught.value.todo
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_of_ones_own(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "a/b"
    if made:
        folder.mkdir(parents=True)
    paths.require_own(folder)


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757, 0o1777])
def test_a_folder_that_others_write(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    refused(tmp_path / "a", f"{tmp_path / 'a'} can be written by others", f"chmod go-w {tmp_path / 'a'}")


@pytest.mark.parametrize(("mode", "good"), [(0o777, False), (0o770, False), (0o1777, True), (0o755, True)])
def test_a_folder_that_others_rename(tmp_path: Path, mode: int, good: bool) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a").chmod(mode)
    if good:
        paths.require_own(tmp_path / "a/b/c")
    else:
        refused(tmp_path / "a/b/c", f"{tmp_path / 'a'} can be written by others")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("which", ["a", "a/b"])
def test_a_folder_of_another(tmp_path: Path, which: str) -> None:
    """Such as the home that sudo kept."""
    (tmp_path / "a/b").mkdir(parents=True)
    os.chown(tmp_path / which, 65534, 65534)
    refused(tmp_path / "a/b", f"{tmp_path / which} belongs to the user 65534", f"chown 0 {tmp_path / which}")


def test_a_link_to_a_folder_of_another_is_that_folder(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to("open")
    refused(tmp_path / "link", "can be written by others")


def test_a_relative_cache_would_be_another_one_in_each_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", "mine")
    with pytest.raises(UsageError, match="ASSAY_CACHE is mine, a relative path") as caught:
        paths.cache()
    assert str(Path.cwd() / "mine") in caught.value.todo
    monkeypatch.delenv("ASSAY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "mine")  # which by its specification counts for nothing
    assert paths.cache() == Path.home() / ".cache/assay"


@pytest.mark.parametrize("where", ["/a/cache", "/a", "/a/cache/home"])
def test_a_cache_that_cannot_be_written_to(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", "/a/cache")
    told = paths.refused(PermissionError(errno.EACCES, "Permission denied", where))
    assert told.todo == "Set ASSAY_CACHE to a folder that you may write to: the cache folder is /a/cache."
    assert "ASSAY_CACHE" not in paths.refused(PermissionError(errno.EACCES, "Permission denied", "/b/x")).todo
    assert "ASSAY_CACHE" not in paths.refused(FileNotFoundError(errno.ENOENT, "No such file", where)).todo
    assert "ASSAY_CACHE" not in paths.refused(PermissionError(errno.EACCES, "Permission denied")).todo
