"""Where Assay keeps things."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.host import paths
from tests.conftest import ROOT


def test_what_this_assay_came_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkout that it is installed from, or the folder in the wheel."""
    assert paths.release() == ROOT
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "assay/host/paths.py"))
    (tmp_path / "assay/release").mkdir(parents=True)
    assert paths.release() == tmp_path / "assay/release"
