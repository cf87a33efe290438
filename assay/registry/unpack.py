"""A layer's tar out of what a registry holds: piece by piece, in little memory, however much it comes to."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator

import zstandard

from assay.errors import VerificationFailed

LARGEST_LAYER = 64 * 2**30
LARGEST_WINDOW = 2**27
STEP = 2**14


def unpacked(chunks: Iterator[bytes], media_type: str) -> Iterator[bytes]:
    """A layer's tar, in pieces that are never empty. Raises `VerificationFailed` for what cannot be unpacked."""
    unpack, count = _unpacker(media_type), 0
    try:
        for chunk in chunks:
            for piece in unpack(chunk):
                count += len(piece)
                if count > LARGEST_LAYER:
                    raise VerificationFailed(
                        f"a layer unpacks to more than {LARGEST_LAYER >> 30} GiB", "Do not use the image."
                    )
                if piece:
                    yield piece
    except (zstandard.ZstdError, zlib.error) as error:
        raise VerificationFailed(f"a layer cannot be unpacked: {error}", "Do not use the image.") from None


def diff_id(chunks: Iterator[bytes], media_type: str) -> str:
    """The digest of a layer's tar.

    Raises as `unpacked` does, after the last chunk was read: whoever hands them over may find that the layer is
    truncated, and that says more.
    """
    digest = hashlib.sha256()
    try:
        for piece in unpacked(chunks, media_type):
            digest.update(piece)
    except VerificationFailed:
        for _ in chunks:
            pass
        raise
    return f"sha256:{digest.hexdigest()}"


def _unpacker(media_type: str) -> Callable[[bytes], Iterator[bytes]]:
    if media_type.endswith("zstd"):
        return _zstd()
    if media_type.endswith("gzip"):
        return _gzip()
    return lambda chunk: iter((chunk,))


def _zstd() -> Callable[[bytes], Iterator[bytes]]:
    engine = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj(read_across_frames=True)

    def unpack(chunk: bytes) -> Iterator[bytes]:
        for at in range(0, len(chunk), STEP):
            yield engine.decompress(chunk[at : at + STEP])

    return unpack


def _gzip() -> Callable[[bytes], Iterator[bytes]]:
    engine = zlib.decompressobj(wbits=31)

    def unpack(chunk: bytes) -> Iterator[bytes]:
        while chunk and not engine.eof:
            yield engine.decompress(chunk, STEP)
            chunk = engine.unconsumed_tail

    return unpack
