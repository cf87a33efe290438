"""A checkout with one image that may be published."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.published import Image, fresh
from tests.unit.publish.known import certified


@pytest.fixture
def made() -> Image:
    return fresh()


@pytest.fixture
def checkout(root: Path, tmp_path: Path, made: Image) -> Path:
    """A checkout with the images of this repository, one of them built and certified."""
    return certified(root, tmp_path, made)
