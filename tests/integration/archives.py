"""Debian archives on loopback: signed by a key of the tests, made of small packages or of the mirror's own."""

from __future__ import annotations

import hashlib
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

from tests.web import WebServer

TIME = "%a, %d %b %Y %H:%M:%S UTC"


class Key:
    """A key that signs archives; ``public`` is the keyring that apt checks them with."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "gnupg"
        self.home.mkdir(mode=0o700, parents=True)
        self._gpg("--passphrase", "", "--quick-generate-key", "archive@tests.example", "rsa2048", "sign", "never")
        self.public = folder / "key.gpg"
        self.public.write_bytes(self._gpg("--export"))

    def sign(self, text: str) -> bytes:
        """The text, signed in the clear, as an InRelease is."""
        return self._gpg("--clearsign", text=text.encode())

    def _gpg(self, *arguments: str, text: bytes = b"") -> bytes:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--pinentry-mode", "loopback", *arguments]
        return subprocess.run(argv, input=text, capture_output=True, check=True).stdout


def package(folder: Path, name: str, version: str, text: str = "") -> Path:
    """Build a small package."""
    tree = folder / f"{name}-{version}{text}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Tests <t@tests.example>\n"
        f"Description: a small package{text}\n"
    )
    return packed(tree, folder / f"{name}_{version}{text}_amd64.deb")


def packed(tree: Path, deb: Path) -> Path:
    """Make a package of an unpacked one."""
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(tree), str(deb)], check=True, capture_output=True)
    return deb


def stanza(deb: Path) -> str:
    """What an index says of a package."""
    control = subprocess.run(["dpkg-deb", "-f", str(deb)], capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    return f"{control.strip()}\nFilename: pool/{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"


def sha256(deb: Path) -> str:
    return hashlib.sha256(deb.read_bytes()).hexdigest()


class Server:
    """Serves the files below a folder. What is not there, and whose path has PLACE/pool/, is ``upstream[PLACE]``'s.

    ``hang`` makes it accept and never answer. ``asked`` are the paths.
    """

    def __init__(self, folder: Path, upstream: Mapping[str, str] | None = None) -> None:
        self.folder, self.upstream = folder, upstream or {}
        self.asked: list[str] = []
        self.hang = False
        self.ended = Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                if outer.hang:
                    outer.ended.wait(120)
                    return
                data = outer.read(self.path.lstrip("/"))
                if data is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = WebServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def read(self, path: str) -> bytes | None:
        """The file at a path, if there is one."""
        place = self.folder / path
        if place.is_file():
            return place.read_bytes()
        found = re.fullmatch(r".*?/(\w+)/(pool/.*)", path)
        if not found or found[1] not in self.upstream:
            return None
        try:
            with urllib.request.urlopen(f"{self.upstream[found[1]].rstrip('/')}/{found[2]}") as answer:
                data: bytes = answer.read()
                return data
        except urllib.error.HTTPError:
            return None

    def __enter__(self) -> Server:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def archive(
        self, name: str, suite: str, stanzas: Iterable[str], key: Key, *, expired: bool = False, index: bool = True
    ) -> str:
        """Publish a suite of the archive ``name``; returns its address. Without its ``index`` it is half of one."""
        top = self.folder / name / "dists" / suite
        packages = top / "main/binary-amd64/Packages"
        packages.parent.mkdir(parents=True, exist_ok=True)
        data = ("\n".join(stanzas) + "\n").encode()
        packages.write_bytes(data)
        today = datetime.now(UTC)
        until = today + timedelta(days=-30 if expired else 7)
        release = (
            f"Origin: Tests\nSuite: {suite}\nCodename: {suite}\nDate: {(until - timedelta(days=8)).strftime(TIME)}\n"
            f"Valid-Until: {until.strftime(TIME)}\nArchitectures: amd64\nComponents: main\nSHA256:\n"
            f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-amd64/Packages\n"
        )
        (top / "InRelease").write_bytes(key.sign(release))
        if not index:
            packages.unlink()
        return f"{self.address}/{name}"

    def pool(self, name: str, deb: Path) -> None:
        """Put a package into the pool of an archive."""
        place = self.folder / name / "pool" / deb.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(deb.read_bytes())
