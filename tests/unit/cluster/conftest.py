"""A place with a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_registry import FakeRegistry, serving
from tests.unit.cluster.made import Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with serving(FakeRegistry()) as registry:
        yield Site(tmp_path, registry, monkeypatch)
