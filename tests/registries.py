"""Real registries on loopback (Debian's docker-registry, and one with the referrers API), and Debian's compose."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Self

import pytest

from assay.engine import apt
from assay.errors import EngineMissing
from assay.host import files, paths

PACKAGES = (apt.Wanted("docker-registry"), apt.Wanted("cosign"), apt.Wanted("oras"))
GO = tuple(apt.Wanted(f"golang-{name}") for name in ("1.24-go", "1.24-src", "github-google-go-containerregistry-dev"))


def programs() -> Path:
    """The folder with docker-registry, cosign and oras, unpacked as the embedded engine is."""
    return unpacked(PACKAGES) / "usr/bin"


def compose() -> Path:
    """Debian's docker-compose."""
    return unpacked((apt.Wanted("docker-compose"),)) / "usr/libexec/docker/cli-plugins/docker-compose"


def unpacked(wanted: tuple[apt.Wanted, ...]) -> Path:
    folder = paths.cache() / "tools" / f"debian-{apt.key_of(wanted)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        apt.unpack(wanted, folder)
    except EngineMissing as error:
        gone = [one.name for one in wanted if re.search(rf"(?<![\w-]){re.escape(one.name)}(?![\w-])", error.what)]
        tool_missing(gone or [one.name for one in wanted], error.what)
    return folder


def tool_missing(names: Iterable[str], reason: str, source: str = "Debian's archive") -> NoReturn:
    """Fail by the name of what the tests need and cannot get, which says nothing of Assay."""
    several = ", ".join(names)
    pytest.fail(f"a tool of the tests cannot be had from {source}: {several}\n  {reason}", pytrace=False)


def compiled() -> Path:
    """The registry of go-containerregistry, compiled once for each source of it and each compiler.

    Of the programs among Debian's packages none has the referrers API.
    """
    source = Path(__file__).with_name("registry.go")
    key = hashlib.sha256(apt.key_of(GO).encode() + source.read_bytes()).hexdigest()[:12]
    return files.once(
        paths.cache() / "tools" / f"registry-{key}",
        lambda partial: _compile(source, partial),
        source.name,
        files.silent,
    )


def _compile(source: Path, program: Path) -> None:
    there = unpacked(GO)
    root = there / "usr/lib/go-1.24"
    settings = {"GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "", "CGO_ENABLED": "0"}
    with tempfile.TemporaryDirectory() as cache:
        folders = {"GOROOT": root, "GOPATH": there / "usr/share/gocode", "GOCACHE": cache}
        environment = {**os.environ, **settings, **{name: str(path) for name, path in folders.items()}}
        argv = [root / "bin/go", "build", "-o", program, source]
        subprocess.run(argv, env=environment, check=True, capture_output=True, timeout=300)


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class Registry:
    """A registry process that can be killed and started again."""

    program: Path
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = field(default=None)
    auth: str = ""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def storage(self) -> Path:
        return self.folder / "storage/docker/registry/v2"

    def argv(self) -> list[Path | str]:
        config = self.folder / "config.yml"
        config.write_text(
            f'version: 0.1\nstorage: {{filesystem: {{rootdirectory: "{self.folder}/storage"}}}}\n'
            f'http: {{addr: "{self.host}", secret: "of the tests"}}\n{self.auth}'
        )
        return [self.program, "serve", config]

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.argv(), stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def tags(self, repository: str) -> list[str]:
        try:
            with urllib.request.urlopen(f"http://{self.host}/v2/{repository}/tags/list", timeout=10) as answer:
                return sorted(json.load(answer)["tags"] or [])
        except urllib.error.HTTPError:
            return []


class ReferrersRegistry(Registry):
    """One that answers the referrers API."""

    def argv(self) -> list[Path | str]:
        return [self.program, self.host, self.folder]
