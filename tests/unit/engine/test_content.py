"""Content of local images, out of what ``docker save`` sends."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator

import pytest

from assay.engine import Engine
from assay.errors import EngineMissing
from tests.unit.engine.sdk import Client, Container, engine

BLOBS = (b"one", b"two" * 9999, b"")


def digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def saving(files: dict[str, bytes]) -> Engine:
    """An engine whose ``docker save`` sends these blobs, by digest, in chunks of odd sizes."""
    layout = io.BytesIO()
    with tarfile.open(fileobj=layout, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"blobs/{name.replace(':', '/')}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

    def get_image(reference: str, chunk_size: int) -> Iterator[bytes]:
        data = layout.getvalue()
        return (data[start : start + 777] for start in range(0, len(data), 777))

    client = Client(Container())
    client.api.get_image = get_image
    return engine(client)


def test_blobs_by_their_digests() -> None:
    local = saving({digest(blob): blob for blob in BLOBS})
    asked = [digest(BLOBS[2]), digest(BLOBS[1])]
    assert {name: blob.read() for name, blob in local.content("i", asked)} == {
        digest(BLOBS[1]): BLOBS[1],
        digest(BLOBS[2]): BLOBS[2],
    }


def test_a_blob_that_is_damaged() -> None:
    local = saving({digest(b"one"): b"One"})
    with pytest.raises(EngineMissing, match="is damaged"):
        list(local.content("i", [digest(b"one")]))


def test_a_blob_that_the_engine_does_not_have() -> None:
    local = saving({digest(b"one"): b"one"})
    with pytest.raises(EngineMissing, match="the engine has no content"):
        list(local.content("i", [digest(b"one"), digest(b"two")]))
