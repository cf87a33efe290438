from __future__ import annotations

import pytest

from assay import registry


@pytest.mark.parametrize(
    ("labels", "tag"),
    [
        ({"org.opencontainers.image.version": "2.15.0", "assay.cuda": "13.2"}, "2.15.0-cuda13.2"),
        ({"org.opencontainers.image.version": "2.15.0+cu132", "assay.cuda": "13.2"}, "2.15.0-cuda13.2"),
        ({"org.opencontainers.image.version": "1.9.1"}, "1.9.1-cpu"),
    ],
)
def test_tags(labels: dict[str, str], tag: str) -> None:
    assert registry.tag(labels) == tag
