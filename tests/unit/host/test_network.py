from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import build, catalog
from assay.engine.builds import build_argv
from assay.host import network
from tests.unit.place import Place
from tests.unit.repository import repository

SECRET = "s3cret"
INDEX = f"https://user:{SECRET}@index.example/simple"
PROXY = f"http://user:{SECRET}@proxy.example:3128"
SECRETS = network.secrets  # which a place to build in goes without


def configure(home: Path, name: str, text: str) -> None:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


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


def test_nothing_of_it_is_in_the_request(home: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*network.PROXIES, *(name.lower() for name in network.PROXIES)):
        monkeypatch.setenv(name, PROXY)
    monkeypatch.setenv("UV_DEFAULT_INDEX", INDEX)
    monkeypatch.setenv("PIP_INDEX_URL", INDEX)
    ca = home / f"{SECRET}.pem"
    ca.write_text(SECRET)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    monkeypatch.setattr(network, "secrets", SECRETS)
    given: list[str] = []
    place.engine.on_build = lambda _: given.append(place.engine.requests[-1].secrets["network"].read_text())
    place.build("torchy")
    assert len(given) == len(place.engine.requests) > 1
    assert all(SECRET in text for text in given)
    for request in place.engine.requests:
        assert set(request.secrets) == {"network", "ca"}
        for part in (request.args, request.labels, request.contexts):
            assert SECRET not in repr(part)
            assert "example" not in repr(part)
        argv = build_argv(request, place.root / "metadata.json")
        said = [word for word in argv if not word.startswith("id=ca,src=")]  # a file's name, not what is in it
        assert SECRET not in repr(said)


def test_it_decides_nothing_of_what_is_built(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cat = catalog.load(repository(tmp_path / "repo"))
    before = build.input_key(cat, cat.get("torchy"), "sha256:1")
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("UV_DEFAULT_INDEX", INDEX)
    assert build.input_key(cat, cat.get("torchy"), "sha256:1") == before


def test_the_default_index_where_nothing_is_configured(home: Path) -> None:
    assert network.index() is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("etc/pip.conf", "[global]\nindex-url = https://index.example/simple\n"),
        (".pip/pip.conf", "[global]\nindex_url = https://index.example/simple\n"),
        (
            ".config/pip/pip.conf",
            "[install]\nindex-url=https://index.example/simple\n[global]\nindex-url=http://x.example\n",
        ),
        (
            ".config/uv/uv.toml",
            '[[index]]\nurl="https://x.example"\n[[index]]\nurl="https://index.example/simple"\ndefault=true\n',
        ),
        (".config/uv/uv.toml", 'index-url = "https://index.example/simple"\n'),
        (".config/uv/uv.toml", '[pip]\nindex-url = "https://index.example/simple"\n'),
        ("etc/uv/uv.toml", 'index-url = "https://index.example/simple"\n'),
    ],
)
def test_the_index_of_the_users_own_files(home: Path, name: str, text: str) -> None:
    configure(home, name, text)
    assert network.index() == "https://index.example/simple"


def test_which_index_wins(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(home, ".config/pip/pip.conf", "[global]\nindex-url = https://pip-file.example\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example")
    assert network.index() == "https://pip.example"
    configure(home, ".config/uv/uv.toml", 'index-url = "https://uv-file.example"')
    assert network.index() == "https://uv-file.example"
    monkeypatch.setenv("UV_INDEX_URL", "https://uv-old.example")
    assert network.index() == "https://uv-old.example"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "corporate=https://user:word@uv.example/simple?a=b")
    assert network.index() == "https://user:word@uv.example/simple?a=b"


@pytest.mark.parametrize("value", ["file:///wheels", "/wheels", "./wheels", ""])
def test_a_folder_is_no_index(home: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", value)
    monkeypatch.setenv("PIP_INDEX_URL", value)
    assert network.index() is None


@pytest.mark.parametrize(
    "text", ["[global", "index-url = ", "[[index]]\nurl = 3\ndefault = true", 'index = "a"\npip = 3']
)
def test_damaged_files_of_the_user(home: Path, text: str) -> None:
    for name in (".config/uv/uv.toml", ".config/pip/pip.conf", "etc/pip.conf"):
        configure(home, name, text)
    assert network.index() is None


def test_which_ca_bundle_wins(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("conf.pem", "pip.pem", "ssl.pem"):
        configure(home, name, "")
    configure(home, ".config/pip/pip.conf", f"[global]\ncert = {home / 'conf.pem'}\n")
    assert network.ca_bundle() == home / "conf.pem"
    monkeypatch.setenv("PIP_CERT", str(home / "pip.pem"))
    assert network.ca_bundle() == home / "pip.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(home / "ssl.pem"))
    assert network.ca_bundle() == home / "ssl.pem"
