"""A base whose suite has left the mirrors: from its kept copy, or from an archive elsewhere."""

from __future__ import annotations

import hashlib
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from packaging.version import Version

from assay import base, build, catalog, engine, paths
from assay.build import Options
from assay.catalog import Catalog, Image
from assay.engine import apt
from assay.errors import BuildFailed
from assay.images import repository
from tests.integration.conftest import Quiet

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not apt.available(), reason="a base is bootstrapped with root and apt only"),
]


def ignore(text: str) -> None:
    """What is done meanwhile is not looked at."""


@pytest.fixture
def known(root: Path) -> Catalog:
    return catalog.load(root)


@pytest.fixture
def oldest(known: Catalog) -> Image:
    """The base that will leave the mirrors first."""
    bases = [image for image in known.images.values() if image.suite and not image.tools]
    return min(bases, key=lambda image: Version(image.labels["python"]))


@pytest.fixture
def unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oldest: Image) -> None:
    """An archive that does not answer, instead of the host's mirror."""
    path = tmp_path / "sources.list"
    path.write_text(f"# nobody is there\ndeb http://127.0.0.1:9/debian {oldest.suite} main\n")
    monkeypatch.setenv("ASSAY_DEBIAN_SOURCES", str(path))


def test_a_kept_base_needs_no_archive(
    known: Catalog, oldest: Image, running: engine.Engine, request: pytest.FixtureRequest
) -> None:
    base.rootfs(oldest, ignore)  # kept from now on
    first = build.build(known, running, [oldest.name], Quiet()).images[oldest.name]
    request.getfixturevalue("unreachable")
    trial = Options(no_cache=True, keep_base=True, suffix="-kept")
    try:
        again = build.build(known, running, [oldest.name], Quiet(), trial).images[oldest.name]
    finally:
        for name in running.tags(repository(oldest.name, trial.suffix)):
            running.remove(name)
    assert again.digest == first.digest


def test_without_a_kept_base_what_to_do_is_said(
    oldest: Image, unreachable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = base._tools()
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    shutil.copytree(tools, paths.cache() / "tools" / tools.name, symlinks=True)
    with pytest.raises(BuildFailed, match="ASSAY_DEBIAN_SOURCES") as caught:
        base.rootfs(oldest, ignore)
    assert len(str(caught.value).splitlines()) == 2
    assert list((paths.cache() / "base").iterdir()) == []


@pytest.fixture
def archive_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oldest: Image) -> Iterator[list[str]]:
    """The host's mirror under another address; gives the paths that were asked for."""
    asked: list[str] = []
    addresses = sorted({address for address, _, _ in apt.host_sources()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            _, number, path = self.path.split("/", 2)
            try:
                with urllib.request.urlopen(addresses[int(number)].rstrip("/") + "/" + path) as answer:
                    data = answer.read()
            except urllib.error.HTTPError as error:
                self.send_error(error.code)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        lines = []
        for line in base._sources(oldest):
            kind, address, *rest = line.split()
            place = f"http://127.0.0.1:{server.server_port}/{addresses.index(address)}/"
            lines.append(" ".join((kind, place, *rest)))
        path = tmp_path / "sources.list"
        path.write_text("\n".join(["deb http://127.0.0.1:9/debian another main", *lines, ""]))
        monkeypatch.setenv("ASSAY_DEBIAN_SOURCES", str(path))
        yield asked
        server.shutdown()


def test_an_archive_elsewhere_gives_the_same_base(oldest: Image, archive_elsewhere: list[str]) -> None:
    assert oldest.packages_lock is not None
    made = base.rootfs(oldest, ignore, fresh=True)
    with made.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == base.PackagesLock.read(oldest.packages_lock).rootfs
    assert any(path.endswith(".deb") for path in archive_elsewhere)
