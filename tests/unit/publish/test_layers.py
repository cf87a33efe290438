"""How the blobs of an image are sent side by side, and what is left where one of them fails."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Generator
from typing import IO, cast

import pytest

from assay.engine import Engine
from assay.errors import EngineMissing, RegistryFailed
from assay.publish.layers import send
from assay.registry import Descriptor, Reference, Repository, Told, digest_of
from tests.fake_registry import Answer, FakeRegistry

PATIENCE = 60


class Files:
    """An engine that hands over blobs; which of them are open is counted."""

    def __init__(self, *blobs: bytes) -> None:
        self.blobs = {digest_of(data): data for data in blobs}
        self.opened: list[IO[bytes]] = []

    def files(self, name: str, digests: Collection[str]) -> Generator[tuple[str, IO[bytes]], None, None]:
        for digest in digests:
            self.opened.append(io.BytesIO(self.blobs[digest]))
            yield digest, self.opened[-1]

    def descriptors(self) -> list[Descriptor]:
        return [Descriptor("x", digest, len(data)) for digest, data in self.blobs.items()]


class Heard:
    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = {}
        self.whole: list[str] = []
        self.told = Told(self.gone, self.whole.append)

    def gone(self, digest: str, count: int) -> None:
        self.counts.setdefault(digest, []).append(count)


def sent(
    fake: FakeRegistry, files: Files, at_once: int = 4, descriptors: list[Descriptor] | None = None
) -> tuple[Repository, Heard]:
    heard = Heard()
    with Repository(Reference.parse(f"{fake.host}/team/app"), pause=0.001) as there:
        send(cast(Engine, files), "i", descriptors or files.descriptors(), there, heard.told, at_once)
        return there, heard


def blobs(count: int, size: int = 300_000) -> Files:
    return Files(*(bytes([number]) * (size + number) for number in range(count)))


def test_every_blob_goes_there_and_its_bytes_are_told(fake: FakeRegistry) -> None:
    files = blobs(9)
    there, heard = sent(fake, files)
    assert {digest: data for (_, digest), data in fake.blobs.items()} == files.blobs
    assert there.sent == sum(map(len, files.blobs.values()))
    assert sorted(heard.whole) == sorted(files.blobs)
    for digest, counts in heard.counts.items():
        assert len(counts) > 1
        assert counts == sorted(counts)
        assert counts[-1] == len(files.blobs[digest])
    assert all(file.closed for file in files.opened)


def test_several_go_at_once_and_no_more_are_open(fake: FakeRegistry) -> None:
    """The registry takes none before it is sent three; a fourth would have been opened by then."""
    files, together, most = blobs(9), threading.Barrier(3), 0

    def hook(method: str, path: str) -> Answer | None:
        nonlocal most
        if method == "PATCH":
            together.wait(PATIENCE)
            most = max(most, sum(not file.closed for file in files.opened))
        return None

    fake.hook = hook
    sent(fake, files, at_once=3)
    assert most == 3
    assert len(fake.blobs) == 9


def test_the_largest_goes_first(fake: FakeRegistry) -> None:
    files = blobs(5)
    _, heard = sent(fake, files, at_once=1)
    assert heard.whole == sorted(files.blobs, key=lambda digest: len(files.blobs[digest]), reverse=True)


def test_nothing_to_send(fake: FakeRegistry) -> None:
    files = Files()
    assert sent(fake, files)[1].whole == []
    assert not fake.log


def test_one_that_fails_ends_the_others(fake: FakeRegistry) -> None:
    """The second upload is refused while the first is held back; the first is given up in its middle, and no third
    begins."""
    files, refused = blobs(6, 2**22), threading.Event()
    fake.hook = lambda method, path: Answer(403) if method == "PATCH" and "u1" in path else None
    heard = Heard()

    def gone(digest: str, count: int) -> None:
        if digest != next(iter(files_in_order)):
            refused.set()
        elif not refused.wait(PATIENCE):
            raise AssertionError
        heard.gone(digest, count)

    files_in_order = sorted(files.blobs, key=lambda digest: len(files.blobs[digest]), reverse=True)
    with (
        Repository(Reference.parse(f"{fake.host}/team/app"), pause=0.001) as there,
        pytest.raises(RegistryFailed, match="denies access"),
    ):
        send(cast(Engine, files), "i", files.descriptors(), there, Told(gone, heard.whole.append), 2)
    assert all(file.closed for file in files.opened)
    assert len(fake.blobs) < len(files.blobs)


def test_a_blob_that_is_damaged_here_is_no_fault_of_the_registry(fake: FakeRegistry) -> None:
    files = blobs(2)
    right = files.descriptors()
    files.blobs[right[0].digest] = b"x" * right[0].size
    with pytest.raises(EngineMissing, match="is damaged"):
        sent(fake, files, descriptors=right)
    assert right[0].digest not in {digest for _, digest in fake.blobs}
