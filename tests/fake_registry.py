"""A registry in this process, with the referrers API, that can be told to misbehave.

The real one of the integration tests has no referrers API, and cannot be made to fail at a chosen moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.web import WebServer

INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass
class Answer:
    """What to answer instead; ``keep`` bytes of an upload are kept before the connection is dropped.

    ``reason`` stands in the status line.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    drop: bool = False
    keep: int | None = None
    reason: str | None = None


@dataclass
class FakeRegistry:
    """Content by repository, and a log of (method, path).

    ``lists_configs``: as go-containerregistry, it gives the type of an artifact's config for that of the artifact.
    """

    referrers: bool = True
    lists_configs: bool = False
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    hook: Callable[[str, str], Answer | None] = lambda method, path: None
    host: str = ""

    def once(self, method: str, pattern: str, *answers: Answer) -> None:
        """Give these answers, one after the other, to requests that match."""
        left = list(answers)

        def hook(asked: str, path: str) -> Answer | None:
            return left.pop(0) if left and asked == method and re.search(pattern, path) else None

        self.hook = hook

    def always(self, method: str, pattern: str, answer: Answer) -> None:
        self.hook = lambda asked, path: answer if asked == method and re.search(pattern, path) else None

    def tag(self, repository: str, reference: str) -> str | None:
        """The digest that a tag points to."""
        found = self.manifests.get((repository, reference))
        return digest(found[1]) if found else None

    def written(self) -> list[str]:
        """The paths of what was written, in order."""
        return [path for method, path in self.log if method in {"PUT", "PATCH", "POST"}]


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@contextlib.contextmanager
def serving(registry: FakeRegistry, tls: ssl.SSLContext | None = None) -> Iterator[FakeRegistry]:
    class Handler(_Handler):
        fake = registry

    server = WebServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    registry.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeRegistry
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *arguments: object) -> None:
        pass

    def _serve(self) -> None:
        path = urlsplit(self.path).path
        self.fake.log.append((self.command, self.path))
        self.fake.headers.append(dict(self.headers))
        told = self.fake.hook(self.command, self.path)
        if told:
            self._misbehave(told, path)
            return
        if path == "/v2/":
            self._say(200, b"{}")
            return
        match = re.fullmatch(r"/v2/(.+)/(blobs/uploads|blobs|manifests|referrers)/(.*)", path)
        if not match:
            self._say(404, b'{"errors": [{"code": "UNSUPPORTED"}]}')
            return
        repository, kind, rest = match.groups()
        getattr(self, f"_{kind.replace('/', '_')}")(repository, rest)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = _serve

    def _misbehave(self, told: Answer, path: str) -> None:
        if told.keep is not None:
            name = path.rpartition("/")[2]
            self.fake.uploads[name] = self.fake.uploads.get(name, b"") + self.rfile.read(told.keep)
        if told.drop:
            self.close_connection = True
            with contextlib.suppress(OSError):  # the client may have gone before
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        if told.keep is None:
            self._body()
        self.close_connection = told.keep is not None
        self._say(told.status, told.body, told.reason, **told.headers)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _say(self, status: int, body: bytes = b"", reason: str | None = None, **headers: str) -> None:
        self.send_response(status, reason)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(OSError):
                self.wfile.write(body)

    def _unknown(self) -> None:
        self._say(404, b'{"errors": [{"code": "UNKNOWN", "message": "no such thing"}]}')

    def _blobs(self, repository: str, name: str) -> None:
        data = self.fake.blobs.get((repository, name))
        if data is None:
            self._unknown()
        else:
            self._say(200, data)

    def _blobs_uploads(self, repository: str, name: str) -> None:
        if self.command == "POST":
            query = parse_qs(urlsplit(self.path).query)
            mounted = self.fake.blobs.get((query.get("from", [""])[0], query.get("mount", [""])[0]))
            if mounted is not None:
                self.fake.blobs[repository, query["mount"][0]] = mounted
                self._say(201)
                return
            name = f"u{len(self.fake.uploads)}"
            self.fake.uploads[name] = b""
            self._say(202, Location=f"/v2/{repository}/blobs/uploads/{name}?state=1")
            return
        if name not in self.fake.uploads:
            self._body()
            self._unknown()
            return
        have = self.fake.uploads[name]
        if self.command == "PATCH":
            start = int(self.headers.get("Content-Range", "0-").partition("-")[0])
            data = self._body()
            if start != len(have):
                self._say(416)
                return
            self.fake.uploads[name] = have = have + data
        if self.command == "PUT":
            wanted = parse_qs(urlsplit(self.path).query)["digest"][0]
            have += self._body()
            if digest(have) != wanted:
                self._say(400, b'{"errors": [{"code": "DIGEST_INVALID", "message": "other content"}]}')
                return
            self.fake.blobs[repository, wanted] = have
            self._say(201)
            return
        status = 204 if self.command == "GET" else 202
        location = f"/v2/{repository}/blobs/uploads/{name}?state=2"
        self._say(status, Location=location, Range=f"0-{max(len(have) - 1, 0)}")

    def _manifests(self, repository: str, reference: str) -> None:
        if self.command != "PUT":
            found = self.fake.manifests.get((repository, reference))
            if found is None:
                self._unknown()
            else:
                self._say(200, found[1], Content_Type=found[0], Docker_Content_Digest=digest(found[1]))
            return
        data = self._body()
        content = json.loads(data)
        needed = [content["config"], *content["layers"]] if "layers" in content else []
        if any((repository, one["digest"]) not in self.fake.blobs for one in needed):
            self._say(400, b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "a blob is not there"}]}')
            return
        for name in {reference, digest(data)}:
            self.fake.manifests[repository, name] = (self.headers["Content-Type"], data)
        subject = {"OCI_Subject": content["subject"]["digest"]} if "subject" in content else {}
        self._say(201, **(subject if self.fake.referrers else {}))

    def _referrers(self, repository: str, wanted: str) -> None:
        if not self.fake.referrers:
            self._unknown()
            return
        listed = []
        for (where, name), (media_type, data) in self.fake.manifests.items():
            content = json.loads(data) if where == repository and name.startswith("sha256:") else {}
            if content.get("subject", {}).get("digest") == wanted:
                one = {"mediaType": media_type, "digest": name, "size": len(data)}
                one |= {key: content[key] for key in ("artifactType", "annotations") if key in content}
                if self.fake.lists_configs:
                    one["artifactType"] = content["config"]["mediaType"]
                    one.pop("annotations", None)
                listed.append(one)
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
        self._say(200, body, Content_Type=INDEX)
