"""The blobs of an image, sent side by side.

One connection does not fill a long way or a registry that writes slowly; more threads than AT_ONCE gained nothing on
two cores (bench/push.py measures it). Each file is opened, or spooled where the engine can only hand over the whole
image, when a thread is free to send it: there are never more at once than threads.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import IO

from assay.engine import Engine, require_whole
from assay.errors import RegistryFailed
from assay.registry import Descriptor, Repository

AT_ONCE = 4


@dataclass(frozen=True)
class Told:
    """Who is told how many bytes of a blob have gone, and when the registry has it."""

    gone: Callable[[str, int], None]
    sent: Callable[[str], None]


def send(
    engine: Engine, name: str, blobs: Iterable[Descriptor], repository: Repository, told: Told, at_once: int = AT_ONCE
) -> None:
    """Send blobs of a local image, the largest first. One that fails ends the others, and its error is raised."""
    sizes = {blob.digest: blob.size for blob in sorted(blobs, key=lambda blob: blob.size, reverse=True)}
    with contextlib.closing(engine.files(name, list(sizes))) as files:
        sender = _Sender(repository, sizes, files, told)
        with ThreadPoolExecutor(at_once, "layer") as pool:
            try:
                for each in as_completed([pool.submit(sender.work) for _ in range(min(at_once, len(sizes)))]):
                    each.result()
            except BaseException:
                sender.stop.set()
                raise


@dataclass(frozen=True)
class _Sender:
    """What the threads share: whoever has the ``turn`` takes the next file."""

    repository: Repository
    sizes: dict[str, int]
    files: Iterator[tuple[str, IO[bytes]]]
    told: Told
    turn: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        while (taken := self._next()) is not None:
            digest, file = taken
            with file:
                self._send(digest, file)
            self.told.sent(digest)

    def _next(self) -> tuple[str, IO[bytes]] | None:
        with self.turn:
            return None if self.stop.is_set() else next(self.files, None)

    def _send(self, digest: str, file: IO[bytes]) -> None:
        def gone(count: int) -> None:
            if self.stop.is_set():
                raise CancelledError
            self.told.gone(digest, count)

        try:
            self.repository.upload(digest, file, self.sizes[digest], gone)
        except RegistryFailed:
            require_whole(file, digest)  # the registry refuses a blob that is damaged here
            raise
