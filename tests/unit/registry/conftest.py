"""Registries that the client is tried on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_registry import FakeRegistry, serving


@pytest.fixture(params=[True, False], ids=["referrers-api", "fallback-tag"])
def either(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    with serving(FakeRegistry(referrers=request.param)) as fake:
        yield fake


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"
