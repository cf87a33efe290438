"""Registries to carry from and to, and a file that was carried."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_registry import FakeRegistry, serving
from tests.published import image, put
from tests.unit.carry.known import took


@pytest.fixture(params=[True, False], ids=["from-referrers-api", "from-fallback-tag"])
def origin(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    """A registry with the image and all that is attached to it."""
    with serving(FakeRegistry(referrers=request.param)) as running:
        put(running.host, image())
        yield running


@pytest.fixture(params=[True, False], ids=["to-referrers-api", "to-fallback-tag"])
def target(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    """A registry with nothing in it."""
    with serving(FakeRegistry(referrers=request.param)) as running:
        yield running


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that an image was exported to; tests read it."""
    file = tmp_path_factory.mktemp("carried") / "image.tar"
    with serving(FakeRegistry()) as running:
        put(running.host, image())
        took(running, file)
    return file
