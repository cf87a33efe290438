"""What the tests of the catalog have in common: files that are written, and files that are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import strategies as st

from assay import catalog
from assay.errors import UsageError

A, B = "a" * 64, "b" * 64
T = TypeVar("T")

WORDS = st.sampled_from(
    ["six", "==", "1.0", " ", "\\\n", "\n", "#", ";", "@", "--hash=", f"sha256:{A}", "python_version<'3'", "[", "("]
)
TEXTS = st.text() | st.lists(WORDS).map("".join)


def write(root: Path, name: str, content: str | bytes) -> None:
    """Write a file below images/."""
    path = root / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def edit(root: Path, name: str, old: str, new: str) -> None:
    """Put other words into an image's image.toml."""
    path = root / "images" / name / "image.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def refused(root: Path, *fragments: str) -> UsageError:
    """Load the catalog, which has to fail with an error of two lines that has these words."""
    with pytest.raises(UsageError) as caught:
        catalog.load(root)
    assert len(str(caught.value).splitlines()) == 2
    for fragment in fragments:
        assert fragment in str(caught.value)
    return caught.value


def value_or_refusal(read: Callable[[], T]) -> T | None:
    """What is read of any text at all: a value, or None after an error of two lines."""
    refusal = None
    try:
        return read()
    except UsageError as error:
        refusal = error
    assert len(str(refusal).splitlines()) == 2
    return None
