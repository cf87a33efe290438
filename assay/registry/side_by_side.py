"""Blobs that are sent side by side, and who is told of it.

One connection does not fill a long way or a registry that writes slowly; more threads than AT_ONCE gained nothing on
two cores (bench/push.py measures it). A file is asked for when a thread is free to send it: there are never more open
at once than threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import IO, Protocol

from assay.errors import RegistryFailed
from assay.registry.repository import Repository

AT_ONCE = 4

Files = Iterator[tuple[str, IO[bytes]]]  # blobs by their digest; whoever takes one closes it


class View(Protocol):
    """What moving images tells whoever watches it. ``gone`` and ``sent`` come from several threads."""

    def phase(self, image: str, text: str) -> None:
        """Another phase of an image begins: asking the registry, sending, certificates, tags."""

    def sending(self, image: str, sizes: Mapping[str, int]) -> None:
        """These blobs of it are to be sent: their bytes by digest."""

    def gone(self, image: str, digest: str, count: int) -> None:
        """So many bytes of a blob have gone."""

    def sent(self, image: str, digest: str) -> None:
        """The registry has the whole blob."""


@dataclass(frozen=True)
class Told:
    """Who is told how many bytes of a blob have gone, and when the registry has it."""

    gone: Callable[[str, int], None]
    sent: Callable[[str], None]


@dataclass(frozen=True)
class Sender:
    """Sends ``files`` of these sizes; ``refused`` may raise what is wrong with one that the registry refuses.

    The threads share it: whoever has the ``turn`` takes the next file.
    """

    repository: Repository
    sizes: Mapping[str, int]
    files: Files
    told: Told
    refused: Callable[[IO[bytes], str], None]
    turn: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    def send(self, at_once: int = AT_ONCE) -> None:
        """Send all of them. One that fails ends the others, and its error is raised."""
        with ThreadPoolExecutor(at_once, "layer") as pool:
            try:
                for each in as_completed([pool.submit(self._work) for _ in range(min(at_once, len(self.sizes)))]):
                    each.result()
            except BaseException:
                self.stop.set()
                raise

    def _work(self) -> None:
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
            self.refused(file, digest)
            raise
