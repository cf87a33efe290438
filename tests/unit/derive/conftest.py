"""A certified base to derive from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.derive.made import Derivations


@pytest.fixture
def place(tmp_path: Path) -> Derivations:
    return Derivations(tmp_path)
