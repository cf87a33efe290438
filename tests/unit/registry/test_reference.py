"""What is a reference to an image, and the tag that an image gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import UsageError
from assay.registry import Reference, tag
from tests.unit.registry.known import DIGEST


@pytest.mark.parametrize(
    ("text", "host", "path", "wanted"),
    [
        ("registry.example/app", "registry.example", "app", "latest"),
        ("registry.example:5000/team/app:1.0-cuda13.2", "registry.example:5000", "team/app", "1.0-cuda13.2"),
        (f"localhost/app:x@{DIGEST}", "localhost", "app", DIGEST),
        ("[::1]:5000/app", "[::1]:5000", "app", "latest"),
    ],
)
def test_references(text: str, host: str, path: str, wanted: str) -> None:
    found = Reference.parse(text)
    assert (found.host, found.path, found.wanted) == (host, path, wanted)


@pytest.mark.parametrize(
    "text",
    ["", "app", "team/app", "r.example/", "r.example/App", "r.example/a:", "r.example/a:-", "r.example/a@",
     "r.example/a@sha256:12",  "https://r.example/a", "r.example/a/../b", "user@r.example/a", "r.example/a b",
     "a.b/c:d/e"],
)  # fmt: skip
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(UsageError):
        Reference.parse(text)


@given(st.text())
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        found = Reference.parse(text)
    except UsageError:
        return
    assert Reference.parse(str(found)).wanted == found.wanted


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ({"org.opencontainers.image.version": "2.15.0", "assay.cuda": "13.2"}, "2.15.0-cuda13.2"),
        ({"org.opencontainers.image.version": "2.15.0+cu132", "assay.cuda": "13.2"}, "2.15.0-cuda13.2"),
        ({"org.opencontainers.image.version": "1.9.1"}, "1.9.1-cpu"),
    ],
)
def test_tags(labels: dict[str, str], wanted: str) -> None:
    assert tag(labels) == wanted
