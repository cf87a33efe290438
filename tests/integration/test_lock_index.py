"""The real resolver and the real index, on the smallest lock there is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from assay import catalog, lock
from assay.errors import BuildFailed, UsageError
from assay.host import network

FILES = {
    "Dockerfile": "FROM scratch",
    "base/any/image.toml": '[image]\nsummary="b"\n[base]\nsuite="any"\nplatform="x86_64-manylinux_2_28"\n'
    '[labels]\npython="3.13"\n',
    "base/any/packages.lock": f"# rootfs sha256:{'0' * 64}\npython3=3.13.5-1 sha256:{'0' * 64}\n",
    "stack/1/image.toml": '[image]\nparent="base/any"\nsummary="s"\n',
    "stack/1/requirements.in": "six==1.16.0\n",
    "small/image.toml": '[image]\nparent="stack/1"\nsummary="f"\nworkloads=["digits"]\n'
    '[framework]\nname="small"\nmodule="dateutil"\ndistribution="python-dateutil"\n',
    "small/requirements.in": "python-dateutil==2.9.0.post0\n",
    "common/beside/assay-environment/assay_environment/__init__.py": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def resolve(root: Path) -> list[lock.Result]:
    return lock.lock(root)


def check(root: Path) -> list[lock.Result]:
    return lock.check(root)


def test_a_lock_from_the_index(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A folder of wheels that the user's pip knows must not come into it, nor be named.
    monkeypatch.setenv("PIP_FIND_LINKS", str(root))
    monkeypatch.setenv("UV_FIND_LINKS", str(root))
    assert [result.changes for result in resolve(root)] == [
        ("six absent -> 1.16.0",),
        ("python-dateutil absent -> 2.9.0.post0", "six absent -> 1.16.0"),
    ]
    images = catalog.load(root)
    text = (root / "images/small/requirements.lock").read_text()
    assert images.root == root
    assert not re.search(r"https?:|file:|" + re.escape(str(root.parent)), text)
    assert not any(result.written for result in resolve(root))
    assert [result.image for result in check(root)] == ["base/any", "stack/1", "small"]

    # Each way in which lock and inputs can part, one after the other, on the same locks.
    path = root / "images/small/requirements.lock"
    whole_hash = re.search(r"    --hash=sha256:\w+ \\\n", text)
    assert whole_hash
    for damaged in (
        text.replace(whole_hash[0], "", 1),
        text.replace("python-dateutil==2.9.0.post0", "python-dateutil==2.8.2"),
        re.sub(r"six==(.|\n)*", "", text),
    ):
        path.write_text(damaged)
        with pytest.raises(UsageError, match=r"images/small/requirements\.lock"):
            check(root)
        assert path.read_text() == damaged
    path.write_text(text)
    (root / "images/small/requirements.in").write_text("python-dateutil\nsix\nidna\n")
    with pytest.raises(UsageError, match="idna is asked for, and the lock lacks it"):
        check(root)


@pytest.mark.parametrize("line", ["six==99", "six==1.16.0\nsix==1.17.0"])
def test_what_no_version_fits(root: Path, line: str) -> None:
    (root / "images/stack/1/requirements.in").write_text(line)
    with pytest.raises(UsageError, match=r"stack/1: no versions fit its requirements: .*six==") as caught:
        resolve(root)
    assert "Correct images/stack/1/requirements.in" in caught.value.todo
    assert not list(root.rglob("requirements.lock*"))


def test_an_index_that_does_not_answer(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://someone:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    with pytest.raises(BuildFailed, match="Connection refused") as caught:
        resolve(root)
    assert "secret" not in str(caught.value)
    assert not list(root.rglob("requirements.lock*"))


def test_a_ca_bundle_that_does_not_fit(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The bundle that the environment names is the one that is used."""
    if network.index() or any(name.lower() == "https_proxy" for name in os.environ):
        pytest.skip("this machine's index may not be served over TLS directly")
    (tmp_path / "empty.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    with pytest.raises(BuildFailed, match="certificate"):
        resolve(root)
