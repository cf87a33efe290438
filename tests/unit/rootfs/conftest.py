"""A repository with one base, and a cache folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay import catalog
from tests.unit.rootfs.known import LOCKED, ROOTFS, lock_again


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> catalog.Image:
    """A base whose lock was resolved at a known time."""
    folder = tmp_path / "images/base/trixie"
    folder.mkdir(parents=True)
    (tmp_path / "images/base/Dockerfile").write_text("FROM scratch")
    (folder / "image.toml").write_text(
        '[image]\nsummary = "Debian"\n[base]\nsuite = "trixie"\nplatform = "x86_64-manylinux_2_40"\n'
        'include = ["libc6", "zlib1g"]\n[labels]\npython = "3.13"\n'
    )
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return lock_again(tmp_path, LOCKED, ROOTFS)
