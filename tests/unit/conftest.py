"""A place to build in, for whoever tests what builds or stands on a build."""

from __future__ import annotations

import os
import signal
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay import rootfs
from assay.build import image
from assay.host import network, process, secrets
from tests.fake_registry import FakeRegistry, serving
from tests.unit.place import (
    STAGED,
    TOOLS,
    Place,
)


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has read as a secret is no secret of the next."""
    monkeypatch.setattr(secrets, "_known", set())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user without any configuration; the system's is in its etc/."""
    for name in list(os.environ):
        theirs = name.startswith(("UV_", "PIP_", "XDG_")) or name in network.CA_BUNDLES
        if theirs or name.upper() in network.PROXIES:
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(network, "SYSTEM", home / "etc")
    return home


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    tarfile.open(tmp_path / "tar", "w").close()
    monkeypatch.setattr(rootfs, "rootfs", lambda image, on_step, how: rootfs.Rootfs(tmp_path / "tar"))
    monkeypatch.setattr(image, "uv_for", lambda image, tell: tmp_path / "uv")
    monkeypatch.setattr(network, "secrets", lambda folder: {})
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return Place(tmp_path / "repo")


@pytest.fixture
def staged(place: Place) -> Place:
    """A repository whose framework's Dockerfile has an environment to keep; built once."""
    (place.root / "images/torchy/Dockerfile").write_text(STAGED)
    place.build()
    return place


@pytest.fixture
def with_tools(place: Place) -> Place:
    """A repository with build tools, which the framework with the environment to keep asks for; built once."""
    place.write("images/tools/torchy/image.toml", TOOLS)
    place.write("images/tools/torchy/packages.lock", f"# rootfs sha256:{'a' * 64}\ng++=1 sha256:{'b' * 64}\n")
    toml = place.root / "images/torchy/image.toml"
    toml.write_text(toml.read_text().replace("[framework]", 'build_tools = "tools/torchy"\n[framework]', 1))
    (place.root / "images/torchy/Dockerfile").write_text(STAGED)
    place.build()
    return place


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set when a build that was interrupted ends its processes; a Ctrl-C is heard even where the tests hear none."""
    event = threading.Event()
    monkeypatch.setattr(process, "end_all", event.set)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield event
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    """A registry that can be told to misbehave."""
    with serving(FakeRegistry()) as running:
        yield running


@pytest.fixture(scope="module")
def lasting() -> Iterator[FakeRegistry]:
    """One registry for all examples of a property."""
    with serving(FakeRegistry()) as running:
        yield running
