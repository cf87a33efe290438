"""Behind a corporate network: a private index over TLS with a password, a private CA and a proxy.

The index is real, on loopback; the build goes through it, and afterwards nothing of it may be found in any layer, the
config or the history of the image.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import io
import re
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
import zstandard

from assay import engine
from tests.integration.conftest import Newcomer, assay, copy_of_newcomer
from tests.web import WebServer

pytestmark = pytest.mark.engine

USER, PASSWORD = "corporate-user", "s3cret-passw0rd-of-the-index"
PROXY = "http://proxy-user:s3cret-of-the-proxy@127.0.0.1:9"


@dataclass
class Index:
    """A running index, and what it was asked."""

    address: str
    ca: Path
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def wheels(first_newcomer: Newcomer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The locked wheels of the newcomer, from whatever index this machine uses."""
    folder = tmp_path_factory.mktemp("wheels")
    lock = first_newcomer.checkout / "images/newcomer/requirements.lock"
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--python-version", "3.13"]
    options += ["--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_27_x86_64"]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-qq", *options, "--dest", str(folder), "--requirement", str(lock)],
        check=True,
        timeout=300,
    )
    return folder


@pytest.fixture
def index(wheels: Path, tmp_path: Path) -> Iterator[Index]:
    """A PEP 503 index over TLS that wants a password."""
    ca = trustme.CA()
    ca_file = tmp_path / "corporate-ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    asked: list[str] = []
    server = WebServer(("127.0.0.1", 0), functools.partial(_Handler, wheels, asked))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"https://{USER}:{PASSWORD}@localhost:{server.server_address[1]}/corporate/simple"
    yield Index(address, ca_file, asked)
    server.shutdown()
    server.server_close()
    thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, folder: Path, asked: list[str], *arguments: object) -> None:
        self.folder, self.asked = folder, asked
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self._answer(401, b"", {"WWW-Authenticate": "Basic"})
            return
        self.asked.append(self.path)
        project = re.fullmatch(r"/corporate/simple/([a-z0-9-]+)/", self.path)
        if project:
            rows = [f'<a href="/files/{path.name}">{path.name}</a>' for path in self._wheels(project[1])]
            self._answer(200, f"<!DOCTYPE html><body>{''.join(rows)}</body>".encode(), {"Content-Type": "text/html"})
        elif (self.folder / Path(self.path).name).is_file():
            self._answer(200, (self.folder / Path(self.path).name).read_bytes(), {})
        else:
            self._answer(404, b"", {})

    def _wheels(self, project: str) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name.split("-")[0].lower() == project]

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_build_goes_through_the_private_index_and_leaves_no_trace_of_it(
    newcomer: Newcomer, running: engine.Engine, index: Index, tmp_path: Path
) -> None:
    checkout = copy_of_newcomer(newcomer, tmp_path / "checkout")
    new_steps(checkout)
    done = assay(
        checkout,
        "build",
        "newcomer",
        PIP_INDEX_URL=index.address,
        SSL_CERT_FILE=str(index.ca),
        HTTP_PROXY=PROXY,
        HTTPS_PROXY=PROXY,
        NO_PROXY="localhost,127.0.0.1",
    )
    assert done.returncode == 0, done.stderr
    assert any(path.endswith(".whl") for path in index.asked), "the build did not go through the private index"

    secrets = traces(index)
    assert found_in(b"x" * 100 + PASSWORD.encode(), secrets), "the search itself must be able to find something"
    searched = 0
    with running.saved("assay/newcomer:latest") as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is None:
                continue
            data = stream.read()
            if data.startswith(b"\x28\xb5\x2f\xfd"):
                data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
                searched += 1
            assert not found_in(data, secrets), f"{member.name} holds {found_in(data, secrets)}"
    facts = running.image("assay/newcomer:latest")
    assert facts is not None
    assert searched == len(facts.layers) >= 4
    assert not found_in(repr(facts).encode(), secrets)
    log = (checkout / "build/logs/newcomer.log").read_bytes()
    assert not found_in(log, {name: value for name, value in secrets.items() if "password" in name})
    # The same bits as without the private index, but for the step that was made new.
    assert facts.layers[-2] == newcomer.built.layers[-2]


def new_steps(checkout: Path) -> None:
    """Give the newcomer steps that no cache has, so that they run behind the private index."""
    text = (checkout / "images/Dockerfile").read_text().partition("FROM environment\n")[0]
    text = text.replace("sh /run/common/install/lock.sh", f": {time.time_ns()}; sh /run/common/install/lock.sh")
    (checkout / "images/newcomer/Dockerfile").write_text(text)


def traces(index: Index) -> dict[str, bytes]:
    """What may be nowhere."""
    certificate = "".join(index.ca.read_text().splitlines()[1:-1])
    return {
        "index password": PASSWORD.encode(),
        "index user": USER.encode(),
        "index path": b"/corporate/simple",
        "basic authorization": base64.b64encode(f"{USER}:{PASSWORD}".encode()),
        "proxy password": b"s3cret-of-the-proxy",
        "CA (text)": certificate[40:80].encode(),
        "CA (binary)": base64.b64decode(certificate)[40:80],
        "CA digest": hashlib.sha256(base64.b64decode(certificate)).hexdigest().encode(),
    }


def found_in(data: bytes, secrets: dict[str, bytes]) -> list[str]:
    """The names of what is in there."""
    return [name for name, value in secrets.items() if value in data]


def test_an_untrusted_index_is_said_with_its_remedy(newcomer: Newcomer, index: Index, tmp_path: Path) -> None:
    checkout = copy_of_newcomer(newcomer, tmp_path / "checkout")
    new_steps(checkout)
    done = assay(checkout, "build", "newcomer", PIP_INDEX_URL=index.address, NO_PROXY="localhost,127.0.0.1")
    assert done.returncode == 4, done.stderr
    assert "SSL_CERT_FILE" in done.stderr
    assert PASSWORD not in done.stderr
