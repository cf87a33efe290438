"""What differs between two layers."""

from __future__ import annotations

import contextlib
import tarfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import VerificationFailed
from assay.host import tars
from assay.reproduce.differences import Difference, Entry, differences, entries
from tests.unit.reproduce.made import layer


def found(data: bytes, size: int = 1000) -> dict[str, Entry]:
    return entries(data[at : at + size] for at in range(0, len(data), size))


def test_equal_layers_differ_in_nothing_however_they_come_in_pieces() -> None:
    data = layer(a="1", b="2" * 5000)
    assert differences(found(data, 7), found(data, 10**6)) == []


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ("2", "content"),
        ("11", "content"),
        (("1", {"mode": 0o600}), "mode"),
        (("1", {"uid": 7}), "owner"),
        (("1", {"mtime": 9}), "time"),
        (("", {"type": tarfile.SYMTYPE, "linkname": "b"}), "type, link, content"),
    ],
)
def test_a_file_that_differs_is_named_with_what_differs(other: Any, what: str) -> None:
    one, another = found(layer(a="1", same="x")), found(layer(a=other, same="x"))
    assert differences(one, another) == [Difference("a", what)]


def test_a_file_that_only_one_of_them_has() -> None:
    assert differences(found(layer(a="1", b="2")), found(layer(b="2", c="3"))) == [
        Difference("a", "only in the published"),
        Difference("c", "only in the rebuilt"),
    ]


@pytest.mark.parametrize("data", [b"no tar" * 200, layer(a="1")[:600], b""])
def test_what_is_no_tar_is_said(data: bytes) -> None:
    with pytest.raises(VerificationFailed, match="no tar"):
        found(data)


@given(st.binary(max_size=4096), st.integers(0, 1023))
def test_any_bytes_are_entries_or_a_problem(data: bytes, at: int) -> None:
    whole = layer(a="1")
    for one in (data, whole[:at] + data[:8] + whole[at + len(data[:8]) :]):
        with contextlib.suppress(VerificationFailed):
            found(one)


def test_a_layer_of_too_many_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tars, "MOST_ENTRIES", 2)
    with pytest.raises(VerificationFailed, match="more than 2 files"):
        found(layer(a="", b="", c=""))
