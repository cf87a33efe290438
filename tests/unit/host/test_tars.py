from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from assay.host.tars import Reader


@given(st.lists(st.binary(max_size=9)), st.lists(st.integers(1, 20), min_size=1))
def test_chunks_read_as_a_file(chunks: list[bytes], sizes: list[int]) -> None:
    def given_out() -> Iterator[bytes]:
        yield from (chunk for chunk in chunks if chunk)

    reader, whole = Reader(given_out()), b"".join(chunks)
    for size in sizes:
        assert reader.read(size) == whole[:size]
        whole = whole[size:]
