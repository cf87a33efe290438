"""Registries to verify from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fake_registry import FakeRegistry, serving


@pytest.fixture(
    params=[(True, False), (True, True), (False, False)], ids=["referrers-api", "of-configs", "fallback-tag"]
)
def either(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    with serving(FakeRegistry(*request.param)) as running:
        yield running
