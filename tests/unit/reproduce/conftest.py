"""A clone to build from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.repository import repository
from tests.unit.reproduce.made import git


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone whose work tree has gone on since the commit."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    root = repository(tmp_path / "clone")
    git(root, "init", "-q")
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", "one")
    (root / "images/torchy/requirements.in").write_text("torch==3.0")
    return root
