from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import build, catalog, lock, network
from assay.build import image
from assay.engine import docker
from assay.images import Built
from tests.unit.repository import repository

SECRET = "s3cret"
INDEX = f"https://user:{SECRET}@index.example/simple"
PROXY = f"http://user:{SECRET}@proxy.example:3128"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any configuration."""
    for name in list(os.environ):
        if name.upper() in network.PROXIES or name.startswith(("UV_", "PIP_", "XDG_")) or name in lock._CA_BUNDLES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(lock, "SYSTEM", tmp_path / "etc")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_a_plain_host_gives_no_secrets(home: Path, tmp_path: Path) -> None:
    assert network.secrets(tmp_path) == {}
    assert not (tmp_path / "network").exists()


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_index_and_proxy(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, PROXY)
    monkeypatch.setenv("PIP_INDEX_URL", INDEX)
    assert network.secrets(tmp_path) == {"network": tmp_path / "network"}
    assert (tmp_path / "network").read_text().splitlines() == [
        f"HTTPS_PROXY={PROXY}",
        f"UV_DEFAULT_INDEX={INDEX}",
        f"https_proxy={PROXY}",
    ]
    assert (tmp_path / "network").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_ca_bundle(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, str(tmp_path / "ca.pem"))
    assert network.secrets(tmp_path) == {}
    (tmp_path / "ca.pem").touch()
    assert network.secrets(tmp_path) == {"ca": tmp_path / "ca.pem"}


def test_the_ca_bundle_that_only_pip_knows(home: Path, tmp_path: Path) -> None:
    (home / ".config/pip").mkdir(parents=True)
    (home / ".config/pip/pip.conf").write_text(f"[global]\ncert = {tmp_path / 'ca.pem'}\n")
    (tmp_path / "ca.pem").touch()
    assert network.secrets(tmp_path) == {"ca": tmp_path / "ca.pem"}


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_shell_reads_any_value_back(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "secrets"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper() in network.PROXIES:
                patch.delenv(name)
        patch.setenv("ALL_PROXY", value)
        found = network.secrets(folder)
    lines = f'. {found["network"]} && printf %s "$ALL_PROXY"'
    assert subprocess.run(["/bin/sh", "-c", lines], capture_output=True, check=True).stdout == value.encode()


def test_nothing_of_it_is_in_the_request(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*network.PROXIES, *(name.lower() for name in network.PROXIES)):
        monkeypatch.setenv(name, PROXY)
    monkeypatch.setenv("UV_DEFAULT_INDEX", INDEX)
    monkeypatch.setenv("PIP_INDEX_URL", INDEX)
    (tmp_path / f"{SECRET}.pem").write_text(SECRET)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / f"{SECRET}.pem"))
    monkeypatch.setattr(image, "uv_folder", lambda tell: Path("/uv"))
    cat = catalog.load(repository(tmp_path / "repo"))
    parent = Built("k", None, "sha256:1", "sha256:2", (), (), 0, 0, 0.0, "")
    run = image.Run(cat, None, None, build.Options())  # type: ignore[arg-type]
    request = image._request(run, cat.get("torchy"), parent, "assay/torchy:latest", tmp_path)
    assert set(request.secrets) == {"network", "ca"}
    assert SECRET in request.secrets["network"].read_text()
    for part in (request.args, request.labels, request.contexts):
        assert SECRET not in repr(part)
        assert "example" not in repr(part)
    argv = docker.build_argv(request, tmp_path / "metadata.json")
    said = [word for word in argv if not word.startswith("id=ca,src=")]  # a file's name, not what is in it
    assert SECRET not in repr(said)


def test_it_decides_nothing_of_what_is_built(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cat = catalog.load(repository(tmp_path / "repo"))
    before = build.input_key(cat, cat.get("torchy"), "sha256:1")
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("UV_DEFAULT_INDEX", INDEX)
    assert build.input_key(cat, cat.get("torchy"), "sha256:1") == before
