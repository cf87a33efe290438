"""Layers that are unpacked: what they hold, and in how little memory."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import VerificationFailed
from assay.registry import diff_id, unpack, unpacked

MIB = 2**20
# Frames of zstd: a header for a window of 1 MiB and no stated size, and a block of one byte that stands for 128 KiB.
FRAME = b"\x28\xb5\x2f\xfd\x00\x50"
REPEATED = ((2**17 << 3) | (1 << 1)).to_bytes(3, "little") + b"x"
LAST = (1).to_bytes(3, "little")


ZEROS = {"x+zstd": zstandard.compress(bytes(40 * MIB)), "x+gzip": gzip.compress(bytes(40 * MIB), 1)}


def wide(log: int) -> bytes:
    """A frame that asks for a window of so many bytes' logarithm."""
    return FRAME[:5] + bytes([(log - 10) << 3]) + REPEATED + LAST


BOMBS: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "zstd of blocks of one byte": (lambda: itertools.chain([FRAME], itertools.repeat(REPEATED * 2**12)), "x+zstd"),
    "zstd of many frames": (lambda: itertools.repeat((FRAME + REPEATED + LAST) * 2**10), "x+zstd"),
    "zstd in one piece": (lambda: iter([ZEROS["x+zstd"]]), "x+zstd"),
    "gzip": (lambda: iter([ZEROS["x+gzip"]]), "x+gzip"),
    "gzip of many members": (lambda: itertools.repeat(ZEROS["x+gzip"]), "x+gzip"),
    "no compression": (lambda: itertools.repeat(bytes(2**16)), "x"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_unpacked_in_little_memory(monkeypatch: pytest.MonkeyPatch, bomb: str) -> None:
    monkeypatch.setattr(unpack, "LARGEST_LAYER", 32 * MIB)
    chunks, media_type = BOMBS[bomb]
    tracemalloc.start()
    try:
        with pytest.raises(VerificationFailed, match="unpacks to more than"):
            diff_id(chunks(), media_type)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB


def test_a_window_has_a_bound() -> None:
    assert diff_id(iter([wide(23)]), "x+zstd") == diff_id(iter([b"x" * 2**17]), "x")
    with pytest.raises(VerificationFailed, match="cannot be unpacked"):
        diff_id(iter([wide(31)]), "x+zstd")


@pytest.mark.parametrize("kind", ["x+zstd", "x+gzip", "x"])
def test_a_layer_in_several_frames_is_all_of_them(kind: str) -> None:
    """As eStargz and zstd:chunked write it."""
    compress = {"x+zstd": zstandard.compress, "x+gzip": gzip.compress, "x": bytes}[kind]
    packed = b"".join(compress(part) for part in (b"one" * 1000, b"two" * 1000))
    whole = hashlib.sha256(b"one" * 1000 + b"two" * 1000).hexdigest()
    for size in (1, 7, len(packed)):
        pieces = (packed[at : at + size] for at in range(0, len(packed), size))
        assert diff_id(pieces, kind) == f"sha256:{whole}"


@given(st.binary(max_size=400), st.integers(0, 60), st.sampled_from(["x+zstd", "x+gzip"]))
def test_any_bytes_are_a_layer_or_a_problem(data: bytes, at: int, kind: str) -> None:
    """And all of them were read, so that whoever hands them over can tell whether they are whole."""
    good = zstandard.compress(b"good" * 99) if kind == "x+zstd" else gzip.compress(b"good" * 99)
    for one in (data, good[:at] + data, good + data):
        left = iter([one[:7], one[7:], b"more"])
        with contextlib.suppress(VerificationFailed):
            for piece in unpacked(left, kind):
                assert piece
        assert next(left, None) is None
