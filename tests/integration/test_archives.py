"""Archives on loopback, asked by a real apt: moved on, without a package, at a time, half there, gone."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assay import catalog
from assay.engine import apt
from assay.engine.apt import IndexFailed
from assay.errors import BuildFailed
from assay.rootfs import Package, PackagesLock
from assay.rootfs.search import Search
from tests.integration.archives import Key, Server, package, sha256, stanza

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not apt.available(), reason="archives are asked with root and apt only"),
    pytest.mark.skipif(shutil.which("gpg") is None, reason="archives are signed with gpg"),
]
RESOLVED = datetime(2026, 11, 20, 6, 7, 8, tzinfo=UTC)
SUITE = "tiny"
TOML = """
[image]
summary = "Tiny"
[base]
suite = "tiny"
platform = "x86_64-manylinux_2_40"
[labels]
python = "3.13"
"""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return Key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two packages as they were locked, one of them newer, and one that is another under the same version."""
    folder = tmp_path_factory.mktemp("debs")
    return {
        "one": package(folder, "one", "1.0"),
        "two": package(folder, "two", "1.0"),
        "newer": package(folder, "one", "1.1"),
        "forged": package(folder, "one", "1.0", "-forged"),
    }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "served") as found:
        yield found


class World:
    """What is asked: the sources of the settings, and a lock of both packages."""

    def __init__(
        self, folder: Path, server: Server, key: Key, debs: dict[str, Path], patch: pytest.MonkeyPatch
    ) -> None:
        self.server, self.key, self.folder, self._patch = server, key, folder, patch
        self.stanzas = {name: stanza(deb) for name, deb in debs.items()}
        (folder / "images/base/tiny").mkdir(parents=True)
        (folder / "images/base/Dockerfile").write_text("FROM scratch")
        (folder / "images/base/tiny/image.toml").write_text(TOML)
        self.image = catalog.load(folder, locked=False).get("base/tiny")
        locked = (Package("one", "1.0", sha256(debs["one"])), Package("two", "1.0", sha256(debs["two"])))
        self.lock = PackagesLock(locked, "c" * 64, RESOLVED)
        patch.setattr(apt, "PAUSES", (0.0,))
        self.mirror("one", "two")
        self.public()

    def serve(self, name: str, *packages: str, suite: str = SUITE, expired: bool = False, index: bool = True) -> str:
        has = [self.stanzas[one] for one in packages]
        return self.server.archive(name, suite, has, self.key, expired=expired, index=index)

    def line(self, address: str, *options: str, suite: str = SUITE) -> str:
        return f"deb [{' '.join((f'signed-by={self.key.public}', *options))}] {address} {suite} main"

    def mirror(self, *packages: str) -> None:
        self.sources(self.line(self.serve("mirror", *packages)))

    def sources(self, *lines: str) -> None:
        path = self.folder / "sources.list"
        path.write_text("".join(f"{line}\n" for line in lines))
        self._patch.setenv("ASSAY_DEBIAN_SOURCES", str(path))

    def public(self, snapshot: str = "", old: str = "") -> None:
        path = self.folder / "archives.toml"
        lines = {"snapshot": snapshot, "old": old}
        path.write_text("".join(f"{name} = ['{line}']\n" for name, line in lines.items() if line))
        self._patch.setenv("ASSAY_DEBIAN_ARCHIVES", str(path))

    def ask(self) -> tuple[str | None, Search]:
        """The name of the archive that has it all, and what came of the others."""
        search = Search(self.image, print)
        archive = search.exact(self.lock)
        return archive.name if archive else None, search


@pytest.fixture
def world(tmp_path: Path, server: Server, key: Key, debs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, server, key, debs, monkeypatch)


def test_a_mirror_that_has_it_all(world: World) -> None:
    name, search = world.ask()
    assert name == "the archive of ASSAY_DEBIAN_SOURCES"
    assert search.asked == []


def test_a_mirror_that_moved_on_and_a_snapshot_that_has_it(world: World) -> None:
    world.mirror("newer", "two")
    address = world.serve("snapshot/20261120T060708Z", "one", "two", expired=True)
    world.public(snapshot=world.line(address.replace("20261120T060708Z", "{time}"), "check-valid-until=no"))
    name, search = world.ask()
    assert name == "the snapshot of 2026-11-20 06:07"
    assert search.asked == ["the archive of ASSAY_DEBIAN_SOURCES lacks one 1.0"]


def test_a_mirror_that_lost_a_package_is_that_of_today(world: World) -> None:
    world.mirror("one")
    name, search = world.ask()
    assert name is None
    assert search.today is not None
    assert search.asked == [
        "the archive of ASSAY_DEBIAN_SOURCES lacks two 1.0",
        "no snapshot archive is named",
    ]


def test_a_pocket_whose_index_is_missing_is_named_and_nothing_is_resolved(world: World) -> None:
    """As a mirror does that is being updated: apt would warn, and know of no newer version."""
    main = world.line(world.serve("mirror", "one", "two"))
    security = world.line(world.serve("security", "newer", suite="tiny-security", index=False), suite="tiny-security")
    world.sources(main, security)
    name, search = world.ask()
    assert (name, search.today) == (None, None)
    assert search.half is not None
    missing = f"{world.server.address}/security/dists/tiny-security/main/binary-amd64/Packages"
    assert missing in search.half.what
    with pytest.raises(IndexFailed, match=re.escape(missing)):
        Search(world.image, print).newest()
    tries = [path for path in world.server.asked if path.endswith("tiny-security/main/binary-amd64/Packages")]
    assert len(tries) >= 2, "it is asked for again"


def test_a_pocket_that_is_not_there_at_all_is_half_an_answer(world: World) -> None:
    main = world.line(world.serve("mirror", "one", "two"))
    world.sources(main, world.line(f"{world.server.address}/security", suite="tiny-security"))
    with pytest.raises(IndexFailed, match="tiny-security") as caught:
        Search(world.image, print).newest()
    assert not caught.value.absent


def test_a_suite_that_left_the_mirror_is_in_the_archive_of_old_releases(world: World) -> None:
    world.sources(world.line(f"{world.server.address}/nowhere"))
    address = world.serve("old", "one", "two", expired=True)
    world.public(old=world.line(address, "check-valid-until=no"))
    name, search = world.ask()
    assert name == "the archive of old releases"
    assert "nowhere tiny Release' does not have a Release file" in search.asked[0]
    assert Search(world.image, print).newest().name == name


def test_a_release_file_that_expired_is_refused_elsewhere(world: World) -> None:
    world.sources(world.line(world.serve("mirror", "one", "two", expired=True)))
    name, search = world.ask()
    assert name is None
    assert search.half is not None
    assert "expired" in search.half.what


def test_an_old_release_of_another_key_is_refused(world: World, tmp_path: Path) -> None:
    world.sources(world.line(f"{world.server.address}/nowhere"))
    line = world.line(world.serve("old", "one", "two", expired=True), "check-valid-until=no")
    world.public(old=line.replace(str(world.key.public), str(Key(tmp_path / "other").public)))
    name, search = world.ask()
    assert (name, search.today) == (None, None)
    assert re.search(r"the archive of old releases: .*(sign|key|GPG)", search.asked[-1])
    assert "no archive has tiny" in search.failure("/kept").what


def test_public_archives_that_never_answer_are_given_up_after_ten_seconds(world: World, tmp_path: Path) -> None:
    world.mirror("newer", "two")
    with Server(tmp_path / "silent") as silent:
        silent.hang = True
        world.public(snapshot=world.line(f"{silent.address}/{{time}}"))
        started = time.monotonic()
        name, search = world.ask()
        taken = time.monotonic() - started
    assert name is None
    assert search.today is not None
    assert "InRelease says nothing for 10 seconds" in search.asked[-1]
    assert 9 < taken < 20


def test_a_public_archive_that_is_gone(world: World) -> None:
    world.mirror("newer", "two")
    world.public(snapshot=world.line("http://127.0.0.1:9/{time}"))
    started = time.monotonic()
    name, search = world.ask()
    assert name is None
    assert "127.0.0.1" in search.asked[-1]
    assert time.monotonic() - started < 20


def test_the_same_version_with_another_content_is_an_error(world: World) -> None:
    world.mirror("forged", "two")
    with pytest.raises(BuildFailed, match=r"one 1\.0 has another hash than the locked one"):
        world.ask()
