"""A place to compare in, on a machine that does nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from assay.host import load
from tests.unit.compare.made import Place, prepare


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: to certify takes most of the time."""
    root = tmp_path_factory.mktemp("compare")
    prepare(root)
    return root


@pytest.fixture
def place(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(load, "busy", lambda seconds: load.Busy(0.01))
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    shutil.copytree(prepared, tmp_path / "repo")
    return Place(tmp_path / "repo")


@pytest.fixture(scope="session")
def measured_once(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which all questions are measured: two sets of the timed one."""
    root = tmp_path_factory.mktemp("measured") / "repo"
    shutil.copytree(prepared, root)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(load, "busy", lambda seconds: load.Busy(0.01))
        patched.setenv("ASSAY_CACHE", str(root.parent / "cache"))
        place = Place(root)
        place.engine.truth = {"torch": 1.0, "tensor": 1.3, "plain": 1.0}
        place.measure()
        place.measure(set="2")
    return root


@pytest.fixture
def measured(measured_once: Path, place: Place) -> Place:
    """The same, to change."""
    shutil.copytree(measured_once / "compare/results", place.folder)
    return place
