"""Layers that are unpacked."""

from __future__ import annotations

import pytest
import zstandard

from assay.errors import VerificationFailed
from assay.registry import unpack


def test_a_bomb_is_unpacked_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "LARGEST_LAYER", 2**20)
    bomb = zstandard.compress(bytes(2**26))
    with pytest.raises(VerificationFailed, match="unpacks to more than"):
        unpack.diff_id(iter([bomb]), "x+zstd")
