"""Content of local images, out of what ``docker save`` sends."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

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


def embedded(home: Path, kept: dict[str, bytes], saved: dict[str, bytes]) -> Engine:
    """The embedded engine, whose containerd keeps these blobs, and which sends those."""
    store = home / "containerd/daemon/io.containerd.content.v1.content/blobs/sha256"
    store.mkdir(parents=True)
    for name, data in kept.items():
        (store / name.removeprefix("sha256:")).write_bytes(data)
    local = saving(saved)
    local.info["DockerRootDir"] = str(home)
    local.environment["ASSAY_CONTAINERD"] = str(home / "containerd.sock")
    return local


def test_what_containerd_keeps_is_read_there_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    first, second, third = sorted(BLOBS, key=digest, reverse=True)
    local = embedded(tmp_path, {digest(first): first, digest(second): second}, {digest(third): third})
    asked = [digest(third), digest(first), digest(second), digest(first)]
    assert [(name, blob.read()) for name, blob in local.content("i", asked)] == [
        (digest(one), one) for one in (first, second, third)
    ]


def test_a_damaged_blob_is_found_wherever_it_is_kept(tmp_path: Path) -> None:
    local = embedded(tmp_path, {digest(b"one"): b"One"}, {digest(b"one"): b"one"})
    with pytest.raises(EngineMissing, match="is damaged"):
        list(local.content("i", [digest(b"one")]))


def test_files_are_whoever_asked_for_thems(tmp_path: Path) -> None:
    """Several are open at once, whether they were kept or sent."""
    local = embedded(tmp_path, {digest(BLOBS[0]): BLOBS[0]}, {digest(blob): blob for blob in BLOBS[1:]})
    files = dict(local.files("i", [digest(blob) for blob in BLOBS]))
    assert {name: file.read() for name, file in files.items()} == {digest(blob): blob for blob in BLOBS}
    for file in files.values():
        file.close()


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
