"""JSON from a stranger: what is read, what is refused, and that no text takes long."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.host import strict

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner),
    max_leaves=15,
)  # fmt: skip


@given(values)
def test_what_is_json_is_read(value: object) -> None:
    assert strict.parsed(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "text",
    ["NaN", "Infinity", "[1e999]", "[-1e999]", '["\\ud800"]', '{"\\ud800": 1}', '"\\udc00"', "[1,]", "", "\ufeff1"],
)
def test_what_another_reader_would_not_take_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict.parsed(text.encode())


@pytest.mark.parametrize("data", [b"[" * 10**6, b'{"a":' * 10**6, b'"\xff"', b"9" * 10**6])
def test_whatever_the_bytes_are_it_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict.parsed(data)


def test_a_key_twice_is_told_at_once_however_many_there_are() -> None:
    """To count each name among all would take minutes here, and hours of what a registry may send."""
    names = [*map(str, range(200_000)), "199999"]
    started = time.monotonic()
    with pytest.raises(ValueError, match="'199999' stands in it twice"):
        strict.parsed(("{" + ",".join(f'"{name}":0' for name in names) + "}").encode())
    assert time.monotonic() - started < 20
