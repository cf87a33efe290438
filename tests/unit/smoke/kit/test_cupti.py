"""The counter of kernels, against a CUPTI that does what its documentation says."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from smoke.kit import cupti

KERNEL, COPY = 10, 1
RECORD = 64  # bytes; CUPTI's records are of several sizes, each a multiple of eight
LIMIT_REACHED = 12  # CUPTI_ERROR_MAX_LIMIT_REACHED: the end of a buffer


class Cupti:
    """Asks for a buffer, writes records of these kinds into it, and hands it back when it is flushed."""

    def __init__(self) -> None:
        self.pending: list[int] = []
        self.enabled: list[int] = []
        self.following = 0
        self.code = 0

    def cuptiActivityRegisterCallbacks(self, requested: Any, completed: Any) -> int:
        self.requested, self.completed = requested, completed
        return self.code

    def cuptiActivityEnable(self, kind: Any) -> int:
        self.enabled.append(kind.value)
        return 0

    def cuptiActivityFlushAll(self, flag: Any) -> int:
        assert flag.value == 1
        if not self.pending:
            return 0
        buffer, size, most = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t(99)
        self.requested(ctypes.pointer(buffer), ctypes.pointer(size), ctypes.pointer(most))
        assert buffer.value is not None
        assert buffer.value % 8 == 0
        assert most.value == 0, "as many as there is room for"
        assert size.value >= RECORD * len(self.pending)
        for number, kind in enumerate(self.pending):
            ctypes.c_uint32.from_address(buffer.value + RECORD * number).value = kind
        self.following = 0
        self.completed(None, 0, buffer, size.value, RECORD * len(self.pending))
        self.pending = []
        return 0

    def cuptiActivityGetNextRecord(self, buffer: Any, valid: Any, record: Any) -> int:
        if RECORD * self.following >= valid.value:
            return LIMIT_REACHED
        record._obj.value = buffer.value + RECORD * self.following
        self.following += 1
        return 0


def test_kernels_are_counted_and_nothing_else() -> None:
    library = Cupti()
    counter = cupti.Counter(library)
    assert library.enabled == [KERNEL]
    assert counter.count() == 0
    library.pending = [KERNEL, COPY, KERNEL]
    assert counter.count() == 2
    library.pending = [KERNEL]
    assert counter.count() == 3, "over all buffers"
    assert counter._buffers == {}, "a buffer that came back is let go of"


def test_a_call_that_fails_is_no_count_of_nothing() -> None:
    library = Cupti()
    library.code = 15
    with pytest.raises(OSError, match="cuptiActivityRegisterCallbacks failed with 15"):
        cupti.Counter(library)


def test_no_cupti(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is not installed"):
        cupti.library(tmp_path)
