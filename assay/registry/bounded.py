"""HTTP in which no answer takes more bytes or more time than its request allows, whatever the peer does.

Bounds that only count a body miss what comes before and after it: status lines and headers that drip, 100 Continue
without end, the bodies of redirects and of failures that are asked again, trailers. So each read of the socket is
counted, below HTTP and above TLS.
"""

from __future__ import annotations

import http.client
import io
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from socket import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import InvalidHeader
from urllib3.poolmanager import PoolManager
from urllib3.response import BaseHTTPResponse

from assay.errors import RegistryFailed, UsageError
from assay.registry import address

SECONDS = 120.0  # for an answer; content of any size gets more time as it comes
VARIABLE = "ASSAY_REGISTRY_SECONDS"  # another number of them
SLOWEST = 2**14  # bytes per second, on average; content that comes more slowly is given up
OVERHEAD = 2**20  # bytes around a body: headers, the framing of chunks, answers that are asked again
LONGEST_LINE = 2**16
# Bytes that are sent before the time is looked at again.
SENT_AT_ONCE = 2**17
TO_CONNECT = 10.0  # seconds
# Encodings turn a little into much, and cookies are kept and sent again. Nobody asks for either.
_UNASKED = ("Content-Encoding", "Set-Cookie", "Set-Cookie2")


def seconds_allowed() -> float:
    """How long an answer may take. Raises `UsageError` where the environment says what is no number of seconds."""
    text = os.environ.get(VARIABLE) or str(SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (math.isfinite(seconds) and seconds > 0):
        raise UsageError(f"{VARIABLE} is {text[:40]!r}, and no number of seconds", "Set it to one, such as 300.")
    return seconds


@dataclass
class Meter:
    """What one request may take: bytes of the answer, and seconds from its beginning until the answer is whole.

    A ``large`` answer, or what is sent and told as ``credit``, gets more time as it comes or goes.
    """

    host: str
    limit: int
    seconds: float
    large: bool = False
    taken: int = 0
    credit: int = 0
    began: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """The seconds that are left; `RegistryFailed` where there are none."""
        left = self.began + self.seconds + self.credit / SLOWEST - time.monotonic()
        if left <= 0:
            raise RegistryFailed(
                f"{self.host} was not done with its answer after {time.monotonic() - self.began:.0f} s",
                "Check the network, and run it again: what is finished is kept.",
            )
        return left

    def take(self, count: int) -> None:
        """Count bytes of the answer; `RegistryFailed` where they are too many."""
        self.taken += count
        self.credit += count if self.large else 0
        if self.taken > self.limit + OVERHEAD:
            raise self.too_large()

    def too_large(self) -> RegistryFailed:
        """The error for an answer of too many bytes."""
        return RegistryFailed(
            f"{self.host} answers with more than {self.limit} bytes where that is the most there can be",
            "Ask whoever runs the registry; do not use the image.",
        )


_METER: ContextVar[Meter] = ContextVar("meter")


@contextmanager
def metered(meter: Meter) -> Iterator[None]:
    """Bound the request that is made within, and the reading of its answer whenever that is done."""
    token = _METER.set(meter)
    try:
        yield
    finally:
        _METER.reset(token)


class _Counted(io.RawIOBase):
    """What comes from a socket, counted."""

    def __init__(self, raw: io.RawIOBase, sock: socket, meter: Meter) -> None:
        self._raw = raw
        self._sock = sock
        self._meter = meter

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        kept = self._sock.gettimeout()
        left = self._meter.left()
        self._sock.settimeout(left if kept is None else min(kept, left))
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError:
            self._meter.left()  # where it is the whole time that is over, nothing is asked again
            raise
        finally:
            self._sock.settimeout(kept)
        self._meter.take(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """A reader that returns a part of a line that is too long."""

    def readline(self, size: int | None = -1) -> bytes:
        return super().readline(LONGEST_LINE if size is None or size < 0 else min(size, LONGEST_LINE + 1))


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        raw = self.fp.detach()
        self.fp = _Lines(_Counted(raw, sock, _METER.get()))

    def begin(self) -> None:
        super().begin()
        for name in _UNASKED:
            del self.headers[name]


class _InTime(list[tuple[int, int, int | bytes]]):
    """Options of a socket, which are asked for before each address of a host is tried: it may have thousands."""

    def __iter__(self) -> Iterator[tuple[int, int, int | bytes]]:
        try:
            _METER.get().left()
        except RegistryFailed:
            raise TimeoutError from None  # what closes the socket that they are asked for
        return super().__iter__()


class _Connection(HTTPConnection):
    """Connects and sends within the time that is left."""

    response_class = _Answer

    def connect(self) -> None:
        self.timeout = min(TO_CONNECT, _METER.get().left())
        self.socket_options = _InTime(self.default_socket_options)
        super().connect()

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        view = memoryview(data)
        for at in range(0, len(view), SENT_AT_ONCE):
            self.sock.settimeout(_METER.get().left())
            super().send(view[at : at + SENT_AT_ONCE])


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class BoundedRetry(Retry):
    """Waits as long as it is told, and no longer than the request may take."""

    def get_backoff_time(self) -> float:
        """As in `Retry`."""
        return min(super().get_backoff_time(), _METER.get().left())

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """As in `Retry`; None for what is neither a number nor a date."""
        try:
            seconds = super().get_retry_after(response)
        except (InvalidHeader, ValueError, OverflowError):
            return None
        return None if seconds is None else min(seconds, _METER.get().left())


class BoundedAdapter(HTTPAdapter):
    """Requests' adapter, on connections that count."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """As in `HTTPAdapter`."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager = _counting(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """As in `HTTPAdapter`."""
        return _counting(super().proxy_manager_for(proxy, **options))


def _counting(manager: PoolManager) -> PoolManager:
    manager.connection_pool_kw["blocksize"] = SENT_AT_ONCE
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager


class BoundedSession(requests.Session):
    """A session that follows no redirect: to find where one leads, requests would read its whole body.

    Nor does it ask a proxy for this machine itself: there, what is sent in the clear stays on it.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """None: where to go on is judged by whoever asks."""
        return None

    def merge_environment_settings(self, url: Any, *arguments: Any) -> Any:
        """As in `requests.Session`."""
        settings = super().merge_environment_settings(url, *arguments)
        there = address.parse(str(url))
        if there is not None and there.is_loopback:
            settings["proxies"] = {}
        return settings
