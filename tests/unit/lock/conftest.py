"""Repositories to lock, and a uv that needs no index."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay import rootfs
from assay.host import process
from tests.unit.lock.resolver import Resolver, write_locks


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    resolver = Resolver()
    monkeypatch.setattr(process, "run", resolver)
    return resolver


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "Dockerfile": "FROM scratch",
        "common/beside/assay-environment/assay_environment/__init__.py": "",
        "base/trixie/image.toml": '[image]\nsummary="d"\n[base]\nsuite="trixie"\nplatform="x86_64-manylinux_2_40"\n'
        'include=["python3"]\n[labels]\npython="3.13"\n',
        "base/trixie/packages.lock": f"# rootfs sha256:{'0' * 64}\npython3=3.13.5-1 sha256:{'0' * 64}\n",
        "cuda/1.0/image.toml": '[image]\nparent="base/trixie"\nsummary="c"\n',
        "cuda/1.0/requirements.in": "cuda-lib==1.0\n",
        "torchy/image.toml": '[image]\nparent="cuda/1.0"\nsummary="t"\nworkloads=["digits"]\n'
        '[framework]\nname="torch"\nmodule="torch"\n',
        "torchy/requirements.in": "torch\nsix<1.17\n",
    }
    for name, text in files.items():
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture
def locked(root: Path, uv: Resolver) -> Path:
    write_locks(root)
    uv.calls.clear()
    return root


@pytest.fixture
def with_tools(locked: Path) -> Path:
    """A locked repository with build tools, which the first framework asks for."""
    folder = locked / "images/tools/torchy"
    folder.mkdir(parents=True)
    (folder / "image.toml").write_text(
        '[image]\nsummary = "Compilers"\n[tools]\nsuite = "trixie"\n'
        'include = ["g++"]\nunpack = ["headers"]\nsources = ["hello"]\n'
    )
    names = ("g++", "headers", "src:hello")
    made = rootfs.PackagesLock(tuple(rootfs.Package(name, "1", "1" * 64) for name in names), "1" * 64)
    (folder / "packages.lock").write_text(made.text("tools/torchy"))
    toml = locked / "images/torchy/image.toml"
    toml.write_text(toml.read_text().replace("[framework]", 'build_tools = "tools/torchy"\n[framework]', 1))
    return locked
