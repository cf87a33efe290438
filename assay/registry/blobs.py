"""The blobs of one repository: read and held against their digest, sent and resumed where an upload breaks off."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from typing import IO

import requests

from assay.errors import VerificationFailed
from assay.registry.connection import ATTEMPTS, LARGEST_ANSWER, PASSING, Rest
from assay.registry.content import LARGEST_LAYER, Descriptor, altered, digest_of
from assay.registry.session import Session

_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,15})")
# Python makes no number of thousands of digits.
_LENGTH = re.compile(r"[0-9]{1,19}")


# Told how many of a blob's bytes have gone, while it is sent.
Gone = Callable[[int], None]


def _unheard(_count: int) -> None:
    """Tell nobody."""


class Blobs(Session):
    """The blobs of one repository; several threads may send some. ``sent`` counts the bytes of content that went."""

    sent: int = 0
    _counting = threading.Lock()

    def size(self, digest: str) -> int | None:
        """How many bytes the registry says that a blob has; None where it has no such blob."""
        response = self._send("HEAD", f"{self._base}/blobs/{digest}", follow=True)
        if response.status_code == 404:
            return None
        self._require(response, 200)
        length = _LENGTH.fullmatch(response.headers.get("Content-Length", ""))
        return int(length[0]) if length else -1

    def blob(self, descriptor: Descriptor, limit: int) -> bytes:
        """A small blob, whole; `VerificationFailed` unless it is what its descriptor says."""
        if descriptor.size > limit:
            raise VerificationFailed(
                f"{descriptor.digest[:19]} has {descriptor.size} bytes, and at most {limit} are read",
                "Nothing of ours is that large: do not use the image.",
            )
        _, data = self._read("GET", f"{self._base}/blobs/{descriptor.digest}", limit, follow=True)
        if len(data) != descriptor.size or digest_of(data) != descriptor.digest:
            raise altered(descriptor, len(data))
        return data

    def stream(self, descriptor: Descriptor) -> Iterator[bytes]:
        """A blob of any size, in pieces. Only at its end is it known to be whole: `VerificationFailed` if not."""
        if descriptor.size > LARGEST_LAYER:
            raise VerificationFailed(
                f"{descriptor.digest[:19]} has {descriptor.size} bytes, and a layer at most {LARGEST_LAYER}",
                "Nothing of ours is that large: do not use the image.",
            )
        meter = self.meter()
        url = f"{self._base}/blobs/{descriptor.digest}"
        response = self._send("GET", url, follow=True, stream=True, meter=meter)
        digest, count = hashlib.sha256(), 0
        try:
            self._require(response, 200)
            # From here on it is the content; an eighth more for the framing of chunks.
            meter.limit, meter.large = meter.limit + descriptor.size + descriptor.size // 8, True
            for chunk in response.iter_content(2**20):
                digest.update(chunk)
                count += len(chunk)
                if count > descriptor.size:
                    break
                yield chunk
        except requests.RequestException as error:
            raise self.failed(f"broke off after {count} of {descriptor.size} bytes", error) from error
        finally:
            response.close()
        if count != descriptor.size or f"sha256:{digest.hexdigest()}" != descriptor.digest:
            raise altered(descriptor, count)

    def mount(self, digest: str, path: str) -> bool:
        """Have a blob of another repository of the same registry, so that it need not be sent; False if refused."""
        if path == self.reference.path:
            return False
        response = self._send("POST", f"{self._base}/blobs/uploads/", params={"mount": digest, "from": path})
        return response.status_code == 201  # refused: an upload has begun, which the registry drops after a while

    def upload(self, digest: str, source: IO[bytes], size: int, gone: Gone = _unheard) -> bool:
        """Send a blob from a file that can be rewound; False where it was there already.

        An upload that breaks off goes on from what the registry has kept of it, or starts anew where it kept nothing.
        What ``gone`` raises ends it.
        """
        if self.size(digest) == size:
            return False
        location, at = self._start(), 0
        last: Exception | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                self._wait(attempt)
                location, at = self._resume(location)
            try:
                if self._finish(self._patch(location, source, at, size, gone), digest, size):
                    return True
                location, last = self._start(), _Passing("it has other content than was sent")
            except (requests.ConnectionError, requests.Timeout, _Passing) as error:
                last = error
        raise self.failed(f"did not take {digest[:19]} in {ATTEMPTS} attempts", last)

    def _start(self) -> str:
        """Begin an upload: where to send it."""
        response = self._send("POST", f"{self._base}/blobs/uploads/")
        self._require(response, 202)
        return self._location(response)

    def _patch(self, location: str, source: IO[bytes], at: int, size: int, gone: Gone) -> str:
        """Send the bytes from ``at`` on; returns where the upload goes on."""
        if at >= size:
            return location
        source.seek(at)
        headers = {"Content-Type": "application/octet-stream"}
        if at:  # as docker does it, no range where all of it is sent: every registry takes that
            headers["Content-Range"] = f"{at}-{size - 1}"
        meter = self.meter(LARGEST_ANSWER)
        body = Rest(source, size - at, meter, self._counted(source, gone))
        response = self._send("PATCH", location, data=body, headers=headers, meter=meter)
        if response.status_code in {*PASSING, 404, 416}:
            raise _Passing(f"HTTP {response.status_code}")
        self._require(response, 201, 202, 204)  # 202 by the specification, 204 by go-containerregistry
        return self._location(response)

    def _finish(self, location: str, digest: str, size: int) -> bool:
        """End an upload; False where the registry refuses what it has of it."""
        response = self._send("PUT", location, params={"digest": digest}, data=b"")
        # An answer may have been lost on its way: then the blob is there, and its upload is not.
        return response.status_code == 201 or self.size(digest) == size

    def _resume(self, location: str) -> tuple[str, int]:
        """Where an upload goes on, and from which byte."""
        response = self._send("GET", location)
        kept = _RANGE.fullmatch(response.headers.get("Range", ""))
        if response.status_code == 204 and kept:
            # An upload that has nothing yet says 0-0, and so does one that has a single byte.
            return self._location(response, location), int(kept[1]) + 1 if int(kept[1]) else 0
        return self._start(), 0

    def _location(self, response: requests.Response, default: str | None = None) -> str:
        """Where an answer sends the rest of an upload."""
        text = response.headers.get("Location") or default
        if not text:
            raise self.failed("does not say where to send a blob", None)
        return self._own(response.url, text).text

    def _counted(self, source: IO[bytes], gone: Gone) -> Gone:
        def count(bytes_read: int) -> None:
            with self._counting:
                self.sent += bytes_read
            gone(source.tell())

        return count


class _Passing(Exception):
    """An upload met a failure of the moment."""
