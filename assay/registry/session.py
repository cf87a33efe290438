"""Requests to one repository: logged in where the registry asks for it, redirected where that is allowed.

What a status means is said here, too: `RegistryFailed` for a registry that refuses or fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import msgspec
import requests

from assay.errors import RegistryFailed
from assay.registry import address
from assay.registry.address import Address
from assay.registry.bounded import Meter, metered
from assay.registry.connection import LARGEST_REASON, READS, Connection
from assay.registry.login import Credentials
from assay.registry.reference import Reference
from assay.registry.token import Authority

MOST_HOPS = 3
# What reading an error's words raises where they are not written as the specification has it.
_NO_REASON = (msgspec.DecodeError, RecursionError, ValueError, LookupError, TypeError, AttributeError)


class NotThere(RegistryFailed):
    """The registry answers, and has no such thing."""


class Session(Connection):
    """A connection that logs in and judges where it is sent. Its methods are for the classes that stand on it."""

    def __init__(
        self,
        reference: Reference,
        *,
        plain_http: bool = False,
        credentials: Credentials | None = None,
        pause: float = 0.5,
        seconds: float | None = None,
    ) -> None:
        """Credentials are Docker's own unless given; the rest is as in `Connection`."""
        super().__init__(reference, plain_http=plain_http, pause=pause, seconds=seconds)
        self._authority = Authority(self, credentials)
        self._authorization: dict[str, str] = {}

    def _send(
        self, method: str, url: str, *, follow: bool = False, meter: Meter | None = None, **options: Any
    ) -> requests.Response:
        """Make one request, authorised as the registry asks for it. ``follow``: blobs may lie elsewhere.

        One meter bounds all of it, with redirects and repeated requests.
        """
        with metered(meter or self.meter()):
            response = self.once(method, url, self._authorization, options)
            if response.status_code == 401:
                with closing(response):
                    self._authorization = self._authority.header(response)
                response = self.once(method, url, self._authorization, options)
            if not response.is_redirect:
                return response
            if not follow:
                raise self._elsewhere(response)
            return self._followed(method, response, options)

    def _followed(self, method: str, response: requests.Response, options: Mapping[str, Any]) -> requests.Response:
        """Blobs may lie in an object store: over TLS, without our credentials, and held against their digest."""
        for _ in range(MOST_HOPS):
            there = _target(response)
            if there is None or not (self.is_home(there) or self.home.may_be_sent_to(there)):
                raise self._elsewhere(response)
            response.close()
            authorization = self._authorization if self.is_home(there) else {}
            response = self.once(method, there.text, authorization, options)
            if not response.is_redirect:
                return response
        raise self._elsewhere(response)

    def _read(
        self, method: str, url: str, limit: int, *, ok: tuple[int, ...] = (200,), **options: Any
    ) -> tuple[requests.Response, bytes]:
        """An answer with its body, which is asked for again where it breaks off."""
        meter = self.meter(limit)
        for attempt in range(READS):
            meter.left()  # one that broke off because its time was over is not asked for again
            meter.taken = 0
            response = self._send(method, url, stream=True, meter=meter, **options)
            try:
                self._require(response, *ok)
                return response, self.body(response, limit)
            except requests.RequestException as error:
                if attempt == READS - 1:
                    raise self.failed("broke off its answer", error) from error
            finally:
                response.close()
        raise AssertionError("the loop above returns or raises")

    def _require(self, response: requests.Response, *wanted: int) -> None:
        """Raise `RegistryFailed` unless the answer has one of these statuses."""
        if response.status_code in wanted:
            return
        if response.status_code in {401, 403}:
            raise self._authority.denied(response)
        what = f"HTTP {response.status_code}: {_reason(response)}"
        if response.status_code == 404:
            raise NotThere(
                f"{self.reference.host} has no such thing in {self.reference.path}: {what}",
                "Check the name and the tag; some registries say this where a login is needed (`docker login`).",
            )
        raise RegistryFailed(
            f"{self.reference.host} answers {response.request.method} with {what}",
            "Run it again later: what is finished is kept. If it stays so, ask whoever runs the registry.",
        )

    def _own(self, base: str, text: str) -> Address:
        """An address that the registry gave, if it is the registry's own."""
        there = address.resolved(base, text)
        if there is None or not self.is_home(there):
            raise RegistryFailed(
                f"{self.reference.host} sends us elsewhere, to {address.shown(there)}",
                "Ask whoever runs the registry.",
            )
        return there

    def _elsewhere(self, response: requests.Response) -> RegistryFailed:
        return RegistryFailed(
            f"{self.reference.host} redirects elsewhere, to {address.shown(_target(response))}, where it must not",
            "Only blobs may lie elsewhere, and over TLS: ask whoever runs the registry.",
        )


def _target(response: requests.Response) -> Address | None:
    """Where a redirect leads; None where that is no address."""
    return address.resolved(response.url, response.headers.get("Location", ""))


def _reason(response: requests.Response) -> str:
    """The first of the registry's own words for what is wrong, shortened."""
    try:
        answer = msgspec.json.decode(next(response.iter_content(LARGEST_REASON), b""))
        first = answer["errors"][0]
        text = str(first.get("message") or first.get("code"))
    except (requests.RequestException, *_NO_REASON):
        text = response.reason or "no reason given"
    return text[:200]
