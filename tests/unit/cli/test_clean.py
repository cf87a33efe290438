"""`assay clean`, in a small repository with a cache of its own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from assay import engine, rootfs
from assay.engine import EmbeddedEngine
from assay.errors import UsageError
from assay.host import cache
from tests.unit.cli.ran import Ran, raising
from tests.unit.repository import A

Assay = Callable[..., Ran]
DAY = 24 * 3600


@pytest.fixture
def filled(tmp_path: Path, assay_: Assay) -> Path:
    """A cache with something of each kind; what ends with "old" was used ten days ago."""
    folder = tmp_path / "cache"
    names = [
        "engine/data/image",
        "engine/debian-old/dockerd",
        f"{EmbeddedEngine.here().programs.relative_to(folder)}/dockerd",
        f"base/{A}.tar",
        f"base/{A}.drifted/x.tar",
        "base/other.tar",
        "base/bootstrap-x.work/tar",
        "base/tar-old",
        "base/.other.tar.lock",
        f"tools/uv-{version('uv')}/uv",
        "tools/uv-old/uv",
        f"{rootfs.programs_folder().relative_to(folder)}/mmdebstrap",
        "wheels/x.whl",
        "wheels/old",
    ]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * 4096)
    for path in folder.rglob("*old"):
        os.utime(path, (time.time() - 10 * DAY,) * 2)
    return folder


def gone(folder: Path, before: set[Path]) -> set[str]:
    there = {path for path in folder.rglob("*") if path.is_file()}
    return {path.relative_to(folder).as_posix() for path in before - there}


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


UNNEEDED = {
    "engine/debian-old/dockerd",
    "base/other.tar",
    "base/bootstrap-x.work/tar",
    "base/tar-old",
    "tools/uv-old/uv",
    "wheels/x.whl",
    "wheels/old",
}
OLD = {name for name in UNNEEDED if "old" in name}


@pytest.mark.parametrize(
    ("options", "removed"),
    [
        ([], UNNEEDED),
        (["--older-than", "0"], UNNEEDED),
        (["--older-than", "3"], OLD),
        (["--older-than", "30"], set()),
        (["--images"], UNNEEDED | {"engine/data/image"}),
        (["--images", "--older-than", "3"], OLD),
        (["--dry-run", "--images"], set()),
    ],
)
def test_what_goes(assay_: Assay, filled: Path, options: list[str], removed: set[str]) -> None:
    before = files_of(filled)
    ran = assay_("clean", *options)
    assert ran.code == 0, ran.err
    assert gone(filled, before) == removed
    assert (filled / "base/.other.tar.lock").exists()  # to delete a lock would hand two processes one each


def test_what_went_and_what_stays_is_said(assay_: Assay, filled: Path) -> None:
    said = assay_("clean").out.splitlines()
    rows = {line.split()[-1] if "stays" not in line else line.partition("stays")[2].split()[0]: line for line in said}
    assert "removed" in rows["other.tar"]
    assert rows[f"{A}.tar"].rstrip().endswith("locked by this checkout")
    assert "--images removes them" in rows["data"]
    assert said[-1].startswith("removed: ")
    assert "; left: " in said[-1]
    left = json.loads(assay_("clean", "--dry-run", "--json").out)
    assert all(row["stays"] for row in left)
    assert {row["kind"] for row in left} == {"engine data", "root file systems", "tools"}


def test_what_another_command_uses_is_left_alone(
    assay_: Assay, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(filled)
    monkeypatch.setattr(cache, "alone", raising(UsageError("the cache is in use: build (in /x, process 7)", "Wait.")))
    assay_("clean", "--images").refused(2, "in use", "process 7")
    assert gone(filled, before) == set()


def test_images_that_run_are_left_alone(assay_: Assay, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Running:
        def __enter__(self) -> Running:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def running(self) -> list[str]:
            return ["brave_curie"]

    before = files_of(filled)
    monkeypatch.setattr(EmbeddedEngine, "pid", lambda self: 7)
    monkeypatch.setattr(engine, "find_embedded", Running)
    assay_("clean", "--images").refused(2, "containers run on the embedded engine: brave_curie")
    assert gone(filled, before) == set()


def test_no_cache_yet(assay_: Assay, tmp_path: Path) -> None:
    ran = assay_("clean")
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "removed: 0 bytes; left: 0 bytes"
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("days", ["-1", "x", "1.5"])
def test_no_number_of_days(assay_: Assay, days: str) -> None:
    assay_("clean", f"--older-than={days}").refused(2, "older-than")


def test_what_is_locked_for_another_processor_stays(filled: Path, assay_: Assay) -> None:
    toml = Path("images/base/trixie/image.toml")
    toml.write_text(toml.read_text().replace("summary", 'platforms = ["linux/amd64", "linux/arm64"]\nsummary', 1))
    toml.with_name("packages.arm64.lock").write_text(f"# rootfs sha256:{'c' * 64}\npython3=3.13.5-1 sha256:{A}\n")
    (filled / f"base/{'c' * 64}.tar").write_bytes(b"x")
    (filled / f"tools/uv-{version('uv')}-static").mkdir()
    before = files_of(filled)
    assay_("clean")
    assert gone(filled, before) == UNNEEDED
    assert (filled / f"tools/uv-{version('uv')}-static").is_dir()
