"""Root file systems by the real mmdebstrap: kept, exact from an archive elsewhere, drifted where that moved on."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.version import Version

from assay import build, catalog, engine, paths, rootfs
from assay.build import Options
from assay.catalog import Catalog, Image
from assay.engine import apt
from assay.errors import BuildFailed
from assay.images import Change, repository
from assay.rootfs import How, PackagesLock, bootstrap, sources
from tests.integration.archives import Key, Server, packed, stanza
from tests.integration.conftest import Quiet

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not apt.available(), reason="a base is bootstrapped with root and apt only"),
]
LEAF = "sensible-utils"  # a package that is in every base, and that nothing needs at a version


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
    """An archive on loopback that has a base's packages as the mirror has them; and one that moved on."""

    def __init__(self, server: Server, key: Key, image: Image, folder: Path) -> None:
        assert image.packages_lock is not None
        self.server, self.key, self.image = server, key, image
        self.lock = PackagesLock.read(image.packages_lock)
        self.stanzas = self._stanzas(folder)
        self.exact = self._line("exact", self.stanzas.values())

    def moved(self, folder: Path) -> str:
        """The line of the same archive after one package got a newer version."""
        deb = self._deb(folder)
        subprocess.run(["dpkg-deb", "-R", str(deb), str(folder / "tree")], check=True)
        control = folder / "tree/DEBIAN/control"
        control.write_text(re.sub(r"(?m)^Version: (.*)$", r"Version: \1+moved", control.read_text()))
        newer = packed(folder / "tree", folder / f"{LEAF}_moved_all.deb")
        self.server.pool("moved", newer)
        return self._line("moved", [*(text for name, text in self.stanzas.items() if name != LEAF), stanza(newer)])

    def _stanzas(self, folder: Path) -> dict[str, str]:
        private = apt.PrivateApt.make(
            folder / "apt",
            sources.mirror(self.image).lines,
            keys=bootstrap.keys(bootstrap.programs()),
        )
        private.update(print)
        locked = {package.name: package.version for package in self.lock.packages}
        found = {}
        for path in (private.folder / "lists").glob("*_Packages"):
            for text in path.read_text().split("\n\n"):
                name, version = (
                    re.search(rf"^{field}: (.*)$", text, re.MULTILINE) for field in ("Package", "Version")
                )
                if name and version and locked.get(name[1]) == version[1]:
                    # From which of the mirror's archives it comes is in its path.
                    place = "security/" if "security" in path.name else "main/"
                    found[name[1]] = re.sub(r"(?m)^Filename: ", f"Filename: {place}", text) + "\n"
        if found.keys() != locked.keys():
            pytest.skip(f"the mirror lacks what is locked: {sorted(locked.keys() - found.keys())}")
        return found

    def _line(self, name: str, stanzas: object) -> str:
        address = self.server.archive(name, str(self.image.suite), stanzas, self.key)  # type: ignore[arg-type]
        return f"deb [signed-by={self.key.public}] {address} {self.image.suite} main"

    def _deb(self, folder: Path) -> Path:
        found = re.search(r"^Filename: (.*)$", self.stanzas[LEAF], re.MULTILINE)
        assert found is not None
        data = self.server.read(f"exact/{found[1]}")
        assert data is not None
        (folder / "locked.deb").write_bytes(data)
        return folder / "locked.deb"


@pytest.fixture
def elsewhere(oldest: Image, tmp_path: Path, own_cache_folder: Path) -> Iterator[Elsewhere]:
    if shutil.which("gpg") is None:
        pytest.skip("archives are signed with gpg")
    mirrors = {"main": "", "security": ""}
    for line in sources.mirror(oldest).lines:
        _, address, suite, *_ = line.split()
        mirrors["security" if "security" in suite else "main"] = address
    with Server(tmp_path / "served", mirrors) as server:
        yield Elsewhere(server, Key(tmp_path / "key"), oldest, tmp_path)


def test_what_moved_on_is_exact_from_the_snapshot_and_else_it_drifts(
    elsewhere: Elsewhere, oldest: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three bases by mmdebstrap: of an archive that moved on, as it was then, and as it was locked."""
    (tmp_path / "sources.list").write_text(elsewhere.moved(tmp_path) + "\n")
    monkeypatch.setenv("ASSAY_DEBIAN_SOURCES", str(tmp_path / "sources.list"))
    monkeypatch.setenv("ASSAY_DEBIAN_ARCHIVES", "none")
    with pytest.raises(BuildFailed, match=f"cannot be made as it was locked.* lacks {LEAF} "):
        rootfs.rootfs(oldest, ignore, How(locked=True))
    (was,) = [package.version for package in elsewhere.lock.packages if package.name == LEAF]
    drifted = rootfs.rootfs(oldest, ignore)
    assert drifted.drift is not None
    assert drifted.drift.changes == (Change(LEAF, was, f"{was}+moved"),)

    lock = PackagesLock(elsewhere.lock.packages, elsewhere.lock.rootfs, datetime(2026, 11, 20, tzinfo=UTC))
    monkeypatch.setattr(PackagesLock, "read", lambda path: lock)
    (tmp_path / "archives.toml").write_text(f"snapshot = ['{elsewhere.exact}']\n")
    monkeypatch.setenv("ASSAY_DEBIAN_ARCHIVES", str(tmp_path / "archives.toml"))
    assert rootfs.rootfs(oldest, ignore).drift == drifted.drift, "it is asked for anew tomorrow"
    exact = rootfs.rootfs(oldest, ignore, How(refresh=True))
    assert exact.drift is None
    assert exact.tar == rootfs.kept_copy(lock.rootfs)
