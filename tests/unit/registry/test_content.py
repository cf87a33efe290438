"""What a registry answers is typed, and read in one way only."""

from __future__ import annotations

import hashlib
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import VerificationFailed
from assay.registry import (
    LARGEST_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
    decode,
    digest_of,
)
from assay.registry.content import Index


@pytest.mark.parametrize("depth", [100_000, 1_000_000])
def test_a_deeply_nested_manifest(depth: int) -> None:
    for text in (b"[" * depth, b'{"layers":' * depth, b'{"x":' + b"[" * depth + b"]" * depth + b"}"):
        with pytest.raises(VerificationFailed, match="malformed"):
            Manifest(text, OCI_MANIFEST).image()


@pytest.mark.parametrize("part", [b"[]", b"{}", b'{"a":0}', b"[0]", b'""', b"1e9"])
def test_a_manifest_of_many_small_parts(part: bytes) -> None:
    """Each becomes an object of Python's: as many as a manifest has room for fit into 128 MiB."""
    data = b'{"x":[' + b",".join([part] * 40_000) + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(VerificationFailed, match="malformed"):
            Manifest(data, OCI_MANIFEST).image()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / len(data) * LARGEST_MANIFEST < 128 * 2**20


@given(
    st.binary()
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda one: json.dumps(one).encode())
)
def test_no_bytes_make_a_manifest_crash(data: bytes) -> None:
    with pytest.raises(VerificationFailed):
        Manifest(data, OCI_MANIFEST).image()


def test_an_index_is_none_of_ours() -> None:
    with pytest.raises(VerificationFailed, match="index"):
        Manifest(b"{}", OCI_INDEX).image()


def test_decode_names_what_is_malformed() -> None:
    with pytest.raises(VerificationFailed, match="the list is malformed"):
        decode(b'{"manifests": [{"digest": "sha256:xyz"}]}', Index, "the list")


def test_digests_are_sha256() -> None:
    assert digest_of(b"") == f"sha256:{hashlib.sha256(b'').hexdigest()}"
