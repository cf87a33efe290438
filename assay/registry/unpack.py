"""A layer's tar out of what a registry holds: piece by piece, in little memory, however much it comes to."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from typing import IO, cast

import zstandard

from assay.errors import VerificationFailed
from assay.host.tars import Reader
from assay.registry.content import LARGEST_LAYER

LARGEST_WINDOW = 2**26  # bytes that an unpacker must keep; the format asks for 2**23 at least
STEP = 2**18


def unpacked(chunks: Iterator[bytes], media_type: str) -> Iterator[bytes]:
    """A layer's tar, in pieces of at most 256 KiB that are never empty.

    Raises `VerificationFailed` for what cannot be unpacked, after the last chunk was read: whoever hands them over
    may find that the layer is truncated, and that says more.
    """
    count = 0
    try:
        # What an unpacker makes of a few bytes has no bound, so it is asked for a piece, and not fed with one.
        with _opened(chunks, media_type) as stream:
            while piece := stream.read(STEP):
                count += len(piece)
                if count > LARGEST_LAYER:
                    break
                yield piece
    except (zstandard.ZstdError, zlib.error, gzip.BadGzipFile, EOFError) as error:
        for _ in chunks:
            pass
        raise VerificationFailed(f"a layer cannot be unpacked: {error}", "Do not use the image.") from None
    if count > LARGEST_LAYER:
        raise VerificationFailed(f"a layer unpacks to more than {LARGEST_LAYER >> 30} GiB", "Do not use the image.")
    for _ in chunks:  # what comes after the end belongs to the layer, too
        pass


def diff_id(chunks: Iterator[bytes], media_type: str) -> str:
    """The digest of a layer's tar. Raises as `unpacked` does."""
    digest = hashlib.sha256()
    for piece in unpacked(chunks, media_type):
        digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def _opened(chunks: Iterator[bytes], media_type: str) -> IO[bytes]:
    packed = cast("IO[bytes]", Reader(chunks))
    if media_type.endswith("zstd"):
        unpacker = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        return cast("IO[bytes]", unpacker.stream_reader(packed, read_size=STEP, read_across_frames=True))
    if media_type.endswith("gzip"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=packed, mode="rb"))
    return packed
