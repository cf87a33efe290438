"""A small repository to load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.repository import repository


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path)
