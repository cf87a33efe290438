"""A registry, and a checkout on a machine with a GPU."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from assay.doctor import Surroundings
from tests.unit.doctor.known import (
    WITH_GPU,
    around,
    keep,
    statement,
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two certificates, on a machine with an H100 and an older driver."""
    keep(tmp_path / "certificates", statement("new"), "new/cpu")
    keep(tmp_path / "certificates", statement("old", cudart="12.9"), "old/cpu")
    data = json.loads((tmp_path / "certificates/old/cpu.json").read_text())
    data["predicate"]["plan"]["labels"]["cuda"] = "12.9"
    keep(tmp_path / "certificates", data, "old/cpu")
    driver = dataclasses.replace(WITH_GPU, driver="550.54.14")
    monkeypatch.setattr(Surroundings, "here", classmethod(lambda cls: around(nvidia=driver)))
    return tmp_path
