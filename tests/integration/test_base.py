"""Root file systems by the real mmdebstrap: kept, exact from an archive elsewhere, drifted where that moved on."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from assay import build, catalog, engine, rootfs
from assay.build import Options
from assay.catalog import Catalog, Change, Image
from assay.catalog.built import repository
from assay.engine import apt
from assay.errors import BuildFailed
from assay.host import paths
from assay.rootfs import How, bootstrap, sources
from tests.integration.archives import Key, Server, packed, stanza
from tests.integration.conftest import Quiet

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not apt.available(), reason="a base is bootstrapped with root and apt only"),
]
LEAF = "debian-archive-keyring"  # it is in every base, and nothing needs it at a version


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
def own_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder that has mmdebstrap."""
    tools = bootstrap.programs()
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    shutil.copytree(tools, paths.cache() / "tools" / tools.name, symlinks=True)
    return paths.cache()


@pytest.fixture
def unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oldest: Image) -> None:
    """An archive that does not answer, instead of the host's mirror; and no other."""
    path = tmp_path / "sources.list"
    path.write_text(f"# nobody is there\ndeb http://127.0.0.1:9/debian {oldest.suite} main\n")
    monkeypatch.setenv("ASSAY_DEBIAN_SOURCES", str(path))
    monkeypatch.setenv("ASSAY_DEBIAN_ARCHIVES", "none")
    monkeypatch.setattr(apt, "PAUSES", (0.0,))


def test_a_kept_base_needs_no_archive(
    known: Catalog, oldest: Image, running: engine.Engine, request: pytest.FixtureRequest
) -> None:
    rootfs.rootfs(oldest, ignore)  # kept from now on
    first = build.build(known, running, [oldest.name], Quiet()).images[oldest.name]
    request.getfixturevalue("unreachable")
    trial = Options(no_cache=True, keep_base=True, suffix="-kept")
    try:
        again = build.build(known, running, [oldest.name], Quiet(), trial).images[oldest.name]
    finally:
        for name in running.tags(repository(oldest.name, trial.suffix)):
            running.remove(name)
    assert again.digest == first.digest


def test_without_a_kept_base_what_to_do_is_said(oldest: Image, own_cache_folder: Path, unreachable: None) -> None:
    with pytest.raises(BuildFailed, match="ASSAY_DEBIAN_SOURCES") as caught:
        rootfs.rootfs(oldest, ignore)
    assert "127.0.0.1:9" in caught.value.what
    assert len(str(caught.value).splitlines()) == 2
    assert not list((own_cache_folder / "base").glob("*.tar"))


class Elsewhere:
    """An archive on loopback that has what the mirror has of a suite, signed anew; and one that moved on."""

    def __init__(self, server: Server, key: Key, image: Image, folder: Path) -> None:
        self.server, self.key, self.image, self.folder = server, key, image, folder
        self.stanzas = list(self._stanzas())
        self.exact = self._line("exact", self.stanzas)

    def moved(self) -> str:
        """The line of the same archive after one package got a newer version."""
        (now,) = [text for text in self.stanzas if text.startswith(f"Package: {LEAF}\n")]
        name = re.search(r"^Filename: (.*)$", now, re.MULTILINE)
        assert name is not None
        data = self.server.read(f"exact/{name[1]}")
        assert data is not None
        (self.folder / "now.deb").write_bytes(data)
        subprocess.run(["dpkg-deb", "-R", str(self.folder / "now.deb"), str(self.folder / "tree")], check=True)
        control = self.folder / "tree/DEBIAN/control"
        control.write_text(re.sub(r"(?m)^Version: (.*)$", r"Version: \1+moved", control.read_text()))
        newer = packed(self.folder / "tree", self.folder / f"{LEAF}_moved_all.deb")
        self.server.pool("moved", newer)
        return self._line("moved", [*(text for text in self.stanzas if text is not now), stanza(newer)])

    def _stanzas(self) -> Iterator[str]:
        keys = bootstrap.keys(bootstrap.programs())
        private = apt.PrivateApt.make(self.folder / "apt", sources.mirror(self.image).lines, keys=keys)
        private.update(print)
        for path in (private.folder / "lists").glob("*_Packages"):
            # From which of the mirror's archives a package comes is in its path.
            place = "security/" if "security" in path.name else "main/"
            for text in path.read_text().split("\n\n"):
                if text.strip():
                    yield re.sub(r"(?m)^Filename: ", f"Filename: {place}", text) + "\n"

    def _line(self, name: str, stanzas: Iterable[str]) -> str:
        address = self.server.archive(name, str(self.image.suite), stanzas, self.key)
        return f"deb [signed-by={self.key.public}] {address} {self.image.suite} main"


@pytest.fixture
def small(oldest: Image, tmp_path: Path) -> Image:
    """The oldest suite with nothing on top of the minimum, which mmdebstrap makes in seconds."""
    return dataclasses.replace(oldest, include=(), packages_lock=tmp_path / "packages.lock")


@pytest.fixture
def elsewhere(small: Image, tmp_path: Path, own_cache_folder: Path) -> Iterator[Elsewhere]:
    if shutil.which("gpg") is None:
        pytest.skip("archives are signed with gpg")
    mirrors = {}
    for line in sources.mirror(small).lines:
        _, address, suite, *_ = line.split()
        mirrors["security" if "security" in suite else "main"] = address
    with Server(tmp_path / "served", mirrors) as server:
        yield Elsewhere(server, Key(tmp_path / "key"), small, tmp_path)


def test_what_moved_on_is_exact_from_the_snapshot_and_else_it_drifts(
    elsewhere: Elsewhere, small: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three bases by mmdebstrap: one to lock, one of an archive that moved on, and one of that as it was."""
    (tmp_path / "sources.list").write_text(elsewhere.exact + "\n")
    monkeypatch.setenv("ASSAY_DEBIAN_SOURCES", str(tmp_path / "sources.list"))
    monkeypatch.setenv("ASSAY_DEBIAN_ARCHIVES", "none")
    lock = rootfs.lock(dataclasses.replace(small, packages_lock=None), ignore)
    (tmp_path / "packages.lock").write_text(lock.text(small.name))
    rootfs.kept_copy(lock.rootfs).unlink()

    (tmp_path / "sources.list").write_text(elsewhere.moved() + "\n")
    with pytest.raises(BuildFailed, match=f"cannot be made as it was locked.* lacks {LEAF} "):
        rootfs.rootfs(small, ignore, How(locked=True))
    (was,) = [package.version for package in lock.packages if package.name == LEAF]
    drifted = rootfs.rootfs(small, ignore)
    assert drifted.drift is not None
    assert drifted.drift.changes == (Change(LEAF, was, f"{was}+moved"),)

    (tmp_path / "archives.toml").write_text(f"snapshot = ['{elsewhere.exact}']\n")
    monkeypatch.setenv("ASSAY_DEBIAN_ARCHIVES", str(tmp_path / "archives.toml"))
    assert rootfs.rootfs(small, ignore) == drifted, "it is asked for anew tomorrow"
    exact = rootfs.rootfs(small, ignore, How(refresh=True))
    assert exact == rootfs.Rootfs(rootfs.kept_copy(lock.rootfs)), "the very tar that was locked"
