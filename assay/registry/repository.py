"""One repository of an OCI registry.

What a registry says is not believed. Content is held against its digest and its size; every read is bounded in bytes
and in time; failures of the moment are asked again, within bounds; credentials go to the registry and to its own
token service, and nowhere else. `RegistryFailed` (exit 6): it did not answer as registries do.
`VerificationFailed` (exit 5): it answered with something else than was asked for.
"""

from __future__ import annotations

import hashlib
import io
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Annotated, Any, TypeVar
from urllib.request import parse_http_list, parse_keqv_list

import msgspec
import requests
from urllib3 import Retry

from assay import dockerauth
from assay.dockerauth import Credentials
from assay.errors import RegistryFailed, UsageError, VerificationFailed
from assay.host import strict
from assay.registry import address
from assay.registry.address import Address
from assay.registry.bounded import SECONDS, BoundedAdapter, BoundedSession, Meter, metered

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
ACCEPTED = (OCI_MANIFEST, OCI_INDEX, "application/vnd.docker.distribution.manifest.v2+json")

LARGEST_MANIFEST = 4 * 2**20  # what the specification asks registries to take
LARGEST_CONFIG = 4 * 2**20
LARGEST_ANSWER = 2**20
LARGEST_REASON = 2**14  # of an answer that is read for what is wrong
MOST_PAGES = 16
MOST_HOPS = 3

ATTEMPTS = 6
PASSING = (408, 429, 500, 502, 503, 504)  # failures of the moment
LONGEST_PAUSE = 30  # seconds, whatever a Retry-After asks for
TIMEOUT = (10, 60)  # seconds to connect, and between two bytes

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,15})")

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
T = TypeVar("T")


class NotThere(RegistryFailed):
    """The registry answers, and has no such thing."""


# ---- what there is in a registry -----------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """``host/path[:tag][@digest]``. The digest counts where there are both."""

    host: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference; `UsageError` unless it names a registry's host."""
        rest, at, digest = text.partition("@")
        host, _, path = rest.partition("/")
        path, colon, tag = path.partition(":")
        if not _is_host(host) or not address.parse(f"https://{host}") or not _PATH.fullmatch(path):
            raise UsageError(
                f"{text!r} is no reference to an image in a registry",
                "Write it as HOST/PATH:TAG or HOST/PATH@sha256:DIGEST.",
            )
        if (colon and not _TAG.fullmatch(tag)) or (at and not _DIGEST.fullmatch(digest)):
            raise UsageError(f"{text!r}: no such tag or digest is possible", "Write sha256: and 64 hex digits.")
        return cls(host, path, tag or None, digest or None)

    @property
    def wanted(self) -> str:
        """The digest, else the tag, else ``latest``."""
        return self.digest or self.tag or "latest"

    def at(self, digest: str) -> Reference:
        """The same repository at a digest."""
        return Reference(self.host, self.path, None, digest)

    def __str__(self) -> str:
        return f"{self.host}/{self.path}" + (f"@{self.digest}" if self.digest else f":{self.wanted}")


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What points to content: its type, digest and size in bytes."""

    media_type: str
    digest: Sha256
    size: Annotated[int, msgspec.Meta(ge=0, le=2**50)]
    artifact_type: str | None = None
    annotations: dict[str, str] | None = None


class ImageManifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An image, or an artifact attached to one (then it has a ``subject``)."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    # Factories, since plain defaults would be left out, and registries want these two.
    schema_version: int = msgspec.field(default_factory=lambda: 2)
    media_type: str = msgspec.field(default_factory=lambda: OCI_MANIFEST)
    artifact_type: str | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Index(msgspec.Struct, frozen=True, rename="camel"):
    """A list of manifests: what the referrers API answers with, and what a fallback tag holds."""

    manifests: tuple[Descriptor, ...]
    schema_version: int = 2
    media_type: str = OCI_INDEX


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry has it, byte for byte; ``digest`` is computed from ``data``."""

    data: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """The digest that these bytes have."""
        return digest_of(self.data)

    def image(self) -> ImageManifest:
        """Its content; `VerificationFailed` unless it is one image's manifest."""
        if "index" in self.media_type or "list" in self.media_type:
            raise VerificationFailed(
                f"{self.digest[:19]} is an index of several images, and not one of ours", "Name one image's digest."
            )
        found = decode(self.data, ImageManifest, "the manifest")
        self._check_one_reading()
        return found

    def _check_one_reading(self) -> None:
        """Another reader must not take it for something else: an index, or other layers under a name in capitals."""
        todo = "Do not use it: two tools would take it for two different images."
        data = strict.parsed(self.data)
        known = {name.lower(): name for name in ("config", "layers", "schemaVersion", "mediaType", "subject")}
        for name in data:
            if name.lower() == "manifests":
                raise VerificationFailed(f"{self.digest[:19]} is an image and an index at once", todo)
            if known.get(name.lower(), name) != name:
                raise VerificationFailed(f"{self.digest[:19]} writes {known[name.lower()]} as {name[:20]!r}", todo)
        if data.get("schemaVersion", 2) != 2:
            raise VerificationFailed(f"{self.digest[:19]} has schemaVersion {str(data['schemaVersion'])[:20]}", todo)
        if self.media_type and data.get("mediaType", self.media_type) != self.media_type:
            raise VerificationFailed(
                f"{self.digest[:19]} calls itself {str(data['mediaType'])[:60]!r}, and the registry "
                f"{self.media_type[:60]!r}",
                todo,
            )


def digest_of(data: bytes) -> str:
    """The digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def decode(data: bytes, kind: type[T], what: str) -> T:
    """Decode JSON that a stranger wrote; whatever is wrong with it is a `VerificationFailed`."""
    try:
        strict.parsed(data)  # msgspec takes the last of two equal keys, and others the first
        return msgspec.json.decode(data, type=kind)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise VerificationFailed(
            f"{what} is malformed: {error}", "Ask whoever runs the registry; do not use the image."
        ) from None


# ---- one repository ------------------------------------------------------------------------------


class Repository:
    """One repository of one registry. ``sent`` counts the bytes of content that went there."""

    def __init__(
        self,
        reference: Reference,
        *,
        plain_http: bool = False,
        credentials: Credentials | None = None,
        pause: float = 0.5,
    ) -> None:
        """``plain_http`` allows HTTP beyond loopback; credentials are Docker's own unless given; ``pause`` is the
        first wait, in seconds, before a failed request is made again (it doubles)."""
        self.reference = reference
        self.sent = 0
        host = "registry-1.docker.io" if reference.host == "docker.io" else reference.host
        scheme = "http" if plain_http or is_loopback(host) else "https"
        home = address.parse(f"{scheme}://{host}")
        if home is None:
            raise UsageError(f"{host!r} is no registry's host", "Write it as HOST or HOST:PORT.")
        self._home = home
        self._base = f"{home.text}/v2/{reference.path}"
        self._pause = pause
        self._credentials = credentials or dockerauth.find(reference.host)
        self._authorization: dict[str, str] = {}
        self._session = _session(pause)

    def __enter__(self) -> Repository:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def manifest(self, wanted: str | None = None, limit: int = LARGEST_MANIFEST) -> Manifest:
        """A manifest by tag or digest (default: the reference's own)."""
        wanted = wanted or self.reference.wanted
        url = f"{self._base}/manifests/{wanted}"
        response, data = self._read("GET", url, limit, headers={"Accept": ", ".join(ACCEPTED)})
        found = Manifest(data, response.headers.get("Content-Type", "").partition(";")[0])
        if wanted.startswith("sha256:") and found.digest != wanted:
            raise VerificationFailed(
                f"{self.reference.host} answers {wanted[:19]} with other content, {found.digest[:19]}",
                "The registry, or something on the way, changes content: do not use the image.",
            )
        return found

    def digest(self, wanted: str) -> str | None:
        """The digest that a tag or digest has in the registry, as it says; None where there is none."""
        response = self._send("HEAD", f"{self._base}/manifests/{wanted}", headers={"Accept": ", ".join(ACCEPTED)})
        if response.status_code == 404:
            return None
        self._require(response, 200)
        said = response.headers.get("Docker-Content-Digest", "")
        return said if _DIGEST.fullmatch(said) else self.manifest(wanted).digest

    def size(self, digest: str) -> int | None:
        """How many bytes the registry says that a blob has; None where it has no such blob."""
        response = self._send("HEAD", f"{self._base}/blobs/{digest}", follow=True)
        if response.status_code == 404:
            return None
        self._require(response, 200)
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else -1

    def blob(self, descriptor: Descriptor, limit: int) -> bytes:
        """A small blob, whole; `VerificationFailed` unless it is what its descriptor says."""
        if descriptor.size > limit:
            raise VerificationFailed(
                f"{descriptor.digest[:19]} has {descriptor.size} bytes, and at most {limit} are read",
                "Nothing of ours is that large: do not use the image.",
            )
        _, data = self._read("GET", f"{self._base}/blobs/{descriptor.digest}", limit, follow=True)
        if len(data) != descriptor.size or digest_of(data) != descriptor.digest:
            raise _altered(descriptor, len(data))
        return data

    def stream(self, descriptor: Descriptor) -> Iterator[bytes]:
        """A blob of any size, in pieces. Only at its end is it known to be whole: `VerificationFailed` if not."""
        meter = self._meter(LARGEST_ANSWER)
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
            raise self._failed(f"broke off after {count} of {descriptor.size} bytes", error) from error
        finally:
            response.close()
        if count != descriptor.size or f"sha256:{digest.hexdigest()}" != descriptor.digest:
            raise _altered(descriptor, count)

    def referrers(self, digest: str) -> tuple[Descriptor, ...]:
        """What is attached to a digest: by the referrers API, else by the fallback tag."""
        found: list[Descriptor] = []
        url = f"{self._base}/referrers/{digest}"
        for _ in range(MOST_PAGES):
            response, data = self._read("GET", url, LARGEST_MANIFEST, ok=(200, 400, 404, 405))
            if response.status_code != 200:
                return self._fallback(digest)
            found += decode(data, Index, "the list of what is attached").manifests
            following = response.links.get("next", {}).get("url")
            if not following:
                return tuple(found)
            url = self._own(url, following).text
        raise RegistryFailed(
            f"{self.reference.host} lists more than {MOST_PAGES} pages of what is attached", "Ask whoever runs it."
        )

    # Writing

    def mount(self, digest: str, path: str) -> bool:
        """Have a blob of another repository of the same registry, so that it need not be sent; False if refused."""
        if path == self.reference.path:
            return False
        response = self._send("POST", f"{self._base}/blobs/uploads/", params={"mount": digest, "from": path})
        return response.status_code == 201  # refused: an upload has begun, which the registry drops after a while

    def upload(self, digest: str, source: IO[bytes], size: int) -> bool:
        """Send a blob from a file that can be rewound; False where it was there already.

        An upload that breaks off goes on from what the registry has kept of it, or starts anew where it kept nothing.
        """
        if self.size(digest) == size:
            return False
        location, at = self._start(), 0
        last: Exception | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(min(self._pause * 2**attempt, LONGEST_PAUSE))
                location, at = self._resume(location)
            try:
                if self._finish(self._patch(location, source, at, size), digest, size):
                    return True
                location, last = self._start(), _Passing("it has other content than was sent")
            except (requests.ConnectionError, requests.Timeout, _Passing) as error:
                last = error
        raise self._failed(f"did not take {digest[:19]} in {ATTEMPTS} attempts", last)

    def put_manifest(self, data: bytes, media_type: str, tag: str | None = None) -> None:
        """Write a manifest under a tag, or under its own digest; everything it names must be there."""
        target = tag or digest_of(data)
        response = self._send(
            "PUT", f"{self._base}/manifests/{target}", data=data, headers={"Content-Type": media_type}
        )
        self._require(response, 201)
        self.sent += len(data)

    def attach(self, artifact: ImageManifest) -> bool:
        """Write an artifact's manifest, so that `referrers` of its subject lists it; False where that is so already.

        Its blobs must be there. Where the registry has no referrers API, the fallback tag is written too.
        """
        assert artifact.subject is not None  # noqa: S101 - what makes it an attachment
        data = msgspec.json.encode(artifact)
        made = Descriptor(OCI_MANIFEST, digest_of(data), len(data), artifact.artifact_type, artifact.annotations)
        subject = artifact.subject.digest
        if made.digest in {one.digest for one in self.referrers(subject)} and self.digest(made.digest):
            return False
        self.put_manifest(data, OCI_MANIFEST)
        for _ in range(ATTEMPTS):
            listed = self.referrers(subject)
            if made.digest in {one.digest for one in listed}:
                return True
            # Another publisher may write the tag at the same time: it is read again, and written again.
            self.put_manifest(msgspec.json.encode(Index((*listed, made))), OCI_INDEX, fallback_tag(subject))
        raise self._failed("does not list what was attached", None)

    def ensure_empty(self) -> Descriptor:
        """The empty blob that artifacts have for a config."""
        data = b"{}"
        descriptor = Descriptor(OCI_EMPTY, digest_of(data), len(data))
        self.upload(descriptor.digest, io.BytesIO(data), len(data))
        return descriptor

    def _start(self) -> str:
        """Begin an upload: where to send it."""
        response = self._send("POST", f"{self._base}/blobs/uploads/")
        self._require(response, 202)
        return self._location(response)

    def _patch(self, location: str, source: IO[bytes], at: int, size: int) -> str:
        if at >= size:
            return location
        source.seek(at)
        headers = {"Content-Type": "application/octet-stream"}
        if at:  # as docker does it, no range where all of it is sent: every registry takes that
            headers["Content-Range"] = f"{at}-{size - 1}"
        meter = self._meter(LARGEST_ANSWER)
        body = _Counted(source, size - at, self, meter)
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

    def _fallback(self, digest: str) -> tuple[Descriptor, ...]:
        try:
            index = self.manifest(fallback_tag(digest))
        except NotThere:
            return ()
        return decode(index.data, Index, "the list of what is attached").manifests

    # HTTP

    def _read(
        self, method: str, url: str, limit: int, *, ok: tuple[int, ...] = (200,), **options: Any
    ) -> tuple[requests.Response, bytes]:
        """An answer with its body, which is asked for again where it breaks off."""
        meter = self._meter(limit)
        for attempt in range(3):
            meter.taken = 0
            response = self._send(method, url, stream=True, meter=meter, **options)
            try:
                self._require(response, *ok)
                return response, self._body(response, limit)
            except requests.RequestException as error:
                if attempt == 2:
                    raise self._failed("broke off its answer", error) from error
            finally:
                response.close()
        raise AssertionError("the loop above returns or raises")

    def _body(self, response: requests.Response, limit: int) -> bytes:
        data = bytearray()
        for chunk in response.iter_content(2**16):
            data += chunk
            if len(data) > limit:
                raise VerificationFailed(
                    f"{self.reference.host} answers with more than {limit} bytes where that is the most there can be",
                    "Ask whoever runs the registry; do not use the image.",
                )
        return bytes(data)

    def _meter(self, limit: int) -> Meter:
        return Meter(self.reference.host, limit, SECONDS)

    def _send(
        self, method: str, url: str, *, follow: bool = False, meter: Meter | None = None, **options: Any
    ) -> requests.Response:
        """Make one request, authorised as the registry asks for it. ``follow``: blobs may lie elsewhere.

        All of it, redirects and what is asked again too, is bounded by one meter.
        """
        with metered(meter or self._meter(LARGEST_ANSWER)):
            response = self._once(method, url, self._authorization, options)
            if response.status_code == 401:
                self._authorization = self._authorize(response)
                response.close()
                response = self._once(method, url, self._authorization, options)
            if not response.is_redirect:
                return response
            if not follow:
                raise self._elsewhere(response)
            return self._followed(method, response, options)

    def _followed(self, method: str, response: requests.Response, options: Mapping[str, Any]) -> requests.Response:
        """Blobs may lie in an object store: over TLS, without our credentials, and held against their digest."""
        for _ in range(MOST_HOPS):
            there = _sent_to(response)
            if there is None or not (self._is_home(there) or self._home.may_be_sent_to(there)):
                raise self._elsewhere(response)
            response.close()
            authorization = self._authorization if self._is_home(there) else {}
            response = self._once(method, there.text, authorization, options)
            if not response.is_redirect:
                return response
        raise self._elsewhere(response)

    def _once(
        self, method: str, url: str, authorization: Mapping[str, str], options: Mapping[str, Any]
    ) -> requests.Response:
        headers = {"Accept-Encoding": "identity", **options.get("headers", {}), **authorization}
        source = options.get("data")
        try:
            response = self._session.request(
                method, url, **{**options, "headers": headers, "stream": True}, allow_redirects=False, timeout=TIMEOUT
            )
            return response if options.get("stream") else _settled(response)
        except (requests.ConnectionError, requests.Timeout) as error:
            if isinstance(source, _Counted):
                raise  # an upload goes on where it broke off
            raise self._failed("does not answer", error) from error
        except (requests.RequestException, ValueError) as error:
            raise self._failed("answers with what is no HTTP", error) from error

    def _authorize(self, response: requests.Response) -> dict[str, str]:
        """What the registry's challenge asks for: a token of its token service, or the name and password."""
        kind, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        if kind.lower() == "basic" and self._credentials:
            return {"Authorization": self._credentials.basic()}
        if kind.lower() != "bearer":
            raise self._denied(response)
        challenge = _challenge(rest)
        realm = address.parse(challenge.get("realm", ""))
        if realm is None or not self._is_its_own(realm):
            raise RegistryFailed(
                f"{self.reference.host} sends for a token to {_shown(realm)}, which is not its own",
                "Credentials go to a registry and to its own domain only: ask whoever runs it.",
            )
        params = {name: challenge[name] for name in ("service", "scope") if challenge.get(name)}
        return {"Authorization": f"Bearer {self._token(realm.text, params)}"}

    def _token(self, realm: str, params: dict[str, str]) -> str:
        known = self._credentials
        if known and known.identity_token:
            form = {
                **params,
                "grant_type": "refresh_token",
                "refresh_token": known.identity_token,
                "client_id": "assay",
            }
            answer = self._once("POST", realm, {}, {"data": form, "stream": True})
        else:
            basic = {"Authorization": known.basic()} if known else {}
            answer = self._once("GET", realm, basic, {"params": params, "stream": True})
        if answer.status_code != 200:
            raise self._denied(answer)
        found = decode(self._body(answer, LARGEST_ANSWER), dict[str, Any], "the token service's answer")
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise self._failed("gives no token", None)
        return token

    def _is_home(self, there: Address) -> bool:
        return there.origin == self._home.origin

    def _is_its_own(self, realm: Address) -> bool:
        """Whether a token service belongs to the registry: the same host, or the same domain over TLS."""
        here = self._home
        if self._is_home(realm) or (here.is_loopback and realm.is_loopback):
            return True
        same = realm.host.split(".")[-2:] == here.host.split(".")[-2:]
        return realm.scheme == "https" and same and here.ip is None

    def _location(self, response: requests.Response, default: str | None = None) -> str:
        said = response.headers.get("Location") or default
        if not said:
            raise self._failed("does not say where to send a blob", None)
        return self._own(response.url, said).text

    def _own(self, base: str, said: str) -> Address:
        """An address that the registry gave, if it is the registry's own."""
        there = _joined(base, said)
        if there is None or not self._is_home(there):
            raise RegistryFailed(
                f"{self.reference.host} sends us elsewhere, to {_shown(there)}", "Ask whoever runs the registry."
            )
        return there

    def _elsewhere(self, response: requests.Response) -> RegistryFailed:
        return RegistryFailed(
            f"{self.reference.host} redirects elsewhere, to {_shown(_sent_to(response))}, where it must not",
            "Only blobs may lie elsewhere, and over TLS: ask whoever runs the registry.",
        )

    def _require(self, response: requests.Response, *wanted: int) -> None:
        if response.status_code in wanted:
            return
        if response.status_code in {401, 403}:
            raise self._denied(response)
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

    def _denied(self, response: requests.Response) -> RegistryFailed:
        who = "the login that docker has for it" if self._credentials else "no login"
        return RegistryFailed(
            f"{self.reference.host} denies access to {self.reference.path} with {who}: HTTP {response.status_code}",
            f"`docker login {self.reference.host}`, with an account that may do this.",
        )

    def _failed(self, what: str, error: Exception | None) -> RegistryFailed:
        why = f": {_cause(error)}" if error else ""
        return RegistryFailed(
            f"{self.reference.host} {what}{why}",
            "Check its name and the network, and run it again: what is finished is kept.",
        )


class _Passing(Exception):
    """An upload met a failure of the moment."""


class _Counted:
    """The rest of a file, for an upload's body; tells the repository what was read of it."""

    def __init__(self, source: IO[bytes], size: int, repository: Repository, meter: Meter) -> None:
        self.len = size  # what requests takes for the Content-Length
        self._source = source
        self._repository = repository
        self._meter = meter

    def read(self, size: int = -1) -> bytes:
        self._meter.left()
        data = self._source.read(min(size, 2**20) if size >= 0 else -1)
        self._repository.sent += len(data)
        self._meter.credit += len(data)
        return data


def fallback_tag(digest: str) -> str:
    """The tag under which a registry without the referrers API lists what is attached to a digest."""
    return digest.replace(":", "-")


def is_loopback(netloc: str) -> bool:
    """Whether this is this machine, where plain HTTP is no risk."""
    found = address.parse(f"http://{netloc}")
    return found is not None and found.is_loopback


def _is_host(text: str) -> bool:
    """A registry's host has a dot or a port, or is localhost: everything else is a path, as docker has it."""
    return bool(_HOST.fullmatch(text)) and ("." in text or ":" in text or text == "localhost")


def _joined(base: str, said: str) -> Address | None:
    """An absolute address of what may be a relative one; None where it is none."""
    start = address.parse(base)
    return address.joined(start, said) if start else None


def _sent_to(response: requests.Response) -> Address | None:
    return _joined(response.url, response.headers.get("Location", ""))


def _shown(there: Address | None) -> str:
    return there.origin if there else "what is no address"


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


def _challenge(text: str) -> dict[str, str]:
    """The parameters of a WWW-Authenticate header; none where they cannot be read."""
    try:
        return parse_keqv_list(parse_http_list(text))
    except (ValueError, IndexError):
        return {}


def _session(pause: float) -> requests.Session:
    """Asks again within bounds, and redirects nothing by itself. PATCH is no part of it: uploads are resumed."""
    retry = Retry(
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
    session.auth = _as_told
    told = ssl.get_default_verify_paths()  # as docker does: SSL_CERT_FILE, else the system's certificates
    if told.cafile or (told.capath and any(Path(told.capath).iterdir())):
        session.verify = told.cafile or told.capath
    return session


def _as_told(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Only what is in the headers already: keeps requests from sending what stands in a ~/.netrc."""
    return request


def _altered(descriptor: Descriptor, count: int) -> VerificationFailed:
    how = f"{count} of {descriptor.size} bytes" if count != descriptor.size else "other content of the same size"
    return VerificationFailed(
        f"the blob {descriptor.digest[:19]} is truncated or changed: the registry has {how}",
        "Do not use the image; whoever published it can publish it again.",
    )


def _cause(error: BaseException) -> str:
    """The innermost words of a nested error; the outer ones repeat addresses."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    reason = getattr(error, "reason", None)
    return str(reason or error) or type(error).__name__


def _reason(response: requests.Response) -> str:
    """The first of the registry's own words for what is wrong, shortened."""
    try:
        said = msgspec.json.decode(next(response.iter_content(LARGEST_REASON), b""))
        first = said["errors"][0]
        text = str(first.get("message") or first.get("code"))
    except (requests.RequestException, msgspec.DecodeError, ValueError, LookupError, TypeError, AttributeError):
        text = response.reason or "no reason given"
    return "".join(one for one in text if one.isprintable())[:200]
