"""One request to a registry, bounded in bytes and in time; it is made again where it fails for the moment.

Nothing here follows a redirect, and nothing here logs in.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import requests

from assay.errors import RegistryFailed, UsageError
from assay.registry import address
from assay.registry.address import Address
from assay.registry.bounded import TO_CONNECT, BoundedAdapter, BoundedRetry, BoundedSession, Meter, seconds_allowed
from assay.registry.reference import Reference

ATTEMPTS = 6  # of a request that gets no answer, or one of these
READS = 3  # of an answer that breaks off
PASSING = (408, 429, 500, 502, 503, 504)  # failures of the moment
LONGEST_PAUSE = 30  # seconds, whatever a Retry-After asks for
TIMEOUT = (TO_CONNECT, 60)  # seconds to connect, and between two bytes
LARGEST_ANSWER = 2**20
LARGEST_REASON = 2**14  # of an answer that is read for what is wrong


class Connection:
    """The way to one repository of one registry."""

    def __init__(
        self, reference: Reference, *, plain_http: bool = False, pause: float = 0.5, seconds: float | None = None
    ) -> None:
        """``plain_http`` allows HTTP beyond loopback. ``pause`` is how many seconds pass before a failed request is
        made again; it doubles each time. ``seconds`` is how long one answer may take (default: `seconds_allowed`)."""
        self.reference = reference
        self.home = _home(reference.host, plain_http=plain_http)
        self._base = f"{self.home.text}/v2/{reference.path}"
        self._pause = pause
        self._seconds = seconds or seconds_allowed()
        self._http = _session(pause)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def meter(self, limit: int = LARGEST_ANSWER) -> Meter:
        """The bounds of an answer of at most ``limit`` bytes."""
        return Meter(self.reference.host, limit, self._seconds)

    def once(
        self, method: str, url: str, authorization: Mapping[str, str], options: Mapping[str, Any]
    ) -> requests.Response:
        """One answer, whatever it says; ``options`` as for requests. Raises `RegistryFailed` where there is none."""
        headers = {"Accept-Encoding": "identity", **options.get("headers", {}), **authorization}
        arguments = {**options, "headers": headers, "stream": True}
        try:
            response = self._http.request(method, url, **arguments, allow_redirects=False, timeout=TIMEOUT)
            return response if options.get("stream") else _settled(response)
        except (requests.ConnectionError, requests.Timeout) as error:
            if isinstance(options.get("data"), Rest):
                raise  # an upload goes on where it broke off
            raise self.failed("does not answer", error) from error
        except (requests.RequestException, ValueError) as error:
            raise self.failed("answers with what is no HTTP", error) from error

    def body(self, response: requests.Response, limit: int) -> bytes:
        """The whole body of an answer; `RegistryFailed` where it has more than ``limit`` bytes."""
        data = bytearray()
        for chunk in response.iter_content(2**16):
            data += chunk
            if len(data) > limit:
                raise self.meter(limit).too_large()
        return bytes(data)

    def failed(self, what: str, error: Exception | None) -> RegistryFailed:
        """The error for a registry that does not do as it should; ``error`` is the cause."""
        why = f": {_cause(error)}" if error else ""
        return RegistryFailed(
            f"{self.reference.host} {what}{why}",
            "Check its name and the network, and run it again: what is finished is kept.",
        )

    def is_home(self, there: Address) -> bool:
        """Whether an address is the registry's own."""
        return there.origin == self.home.origin

    def _wait(self, attempt: int) -> None:
        """Pause before an attempt; the first has the number 0."""
        time.sleep(min(self._pause * 2**attempt, LONGEST_PAUSE))


class Rest:
    """The rest of a file, as the body of an upload; ``count`` is told how many bytes of it were read."""

    def __init__(self, source: IO[bytes], size: int, meter: Meter, count: Callable[[int], None]) -> None:
        self.len = size  # what requests takes for the Content-Length
        self._source = source
        self._meter = meter
        self._count = count

    def read(self, size: int = -1) -> bytes:
        """As a file's; `RegistryFailed` where the upload takes too long."""
        self._meter.left()
        data = self._source.read(min(size, 2**20) if size >= 0 else -1)
        self._count(len(data))
        self._meter.credit += len(data)
        return data


def _home(name: str, *, plain_http: bool) -> Address:
    host = "registry-1.docker.io" if name == "docker.io" else name
    local = address.parse(f"http://{host}")
    plain = plain_http or (local is not None and local.is_loopback)
    home = address.parse(f"{'http' if plain else 'https'}://{host}")
    if home is None:
        raise UsageError(f"{host!r} is no registry's host", "Write it as HOST or HOST:PORT.")
    return home


def _session(pause: float) -> requests.Session:
    """Asks again within bounds, and redirects nothing by itself. PATCH is no part of it: uploads are resumed."""
    retry = BoundedRetry(
        total=ATTEMPTS - 1,
        redirect=0,
        backoff_factor=pause,
        backoff_max=LONGEST_PAUSE,
        retry_after_max=LONGEST_PAUSE,
        status_forcelist=PASSING,
        allowed_methods={"GET", "HEAD", "POST", "PUT"},
        raise_on_status=False,
    )
    session = BoundedSession()
    for scheme in ("http://", "https://"):
        session.mount(scheme, BoundedAdapter(max_retries=retry))
    session.auth = _unchanged
    trusted = ssl.get_default_verify_paths()  # as docker does: SSL_CERT_FILE, else the system's certificates
    if trusted.cafile or (trusted.capath and any(Path(trusted.capath).iterdir())):
        session.verify = trusted.cafile or trusted.capath
    return session


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Only what is in the headers already: keeps requests from sending what stands in a ~/.netrc."""
    return request


def _settled(response: requests.Response) -> requests.Response:
    """An answer of which the status and the headers count: so much of its body is kept as says what is wrong."""
    data = bytearray()
    for chunk in response.iter_content(LARGEST_REASON):
        data += chunk
        if len(data) >= LARGEST_REASON:
            response.close()
            break
    response._content, response._content_consumed = bytes(data), True  # type: ignore[attr-defined]
    return response


def _cause(error: BaseException) -> str:
    """The innermost words of a nested error; the outer ones repeat addresses."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    reason = getattr(error, "reason", None)
    # urllib3 begins with the connection as an object: HTTPSConnection(host='a', port=443): Failed to …
    text = re.sub(r"^\w+\(host=[^)]*\): ", "", str(reason or error))
    return text or type(error).__name__
