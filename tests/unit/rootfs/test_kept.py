"""A root file system for its lock: kept, exact, or with its drift said; whatever the archives have."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import CancelledError
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assay import catalog, rootfs
from assay.catalog import Change, Drift
from assay.engine import apt
from assay.engine.apt import IndexFailed
from assay.errors import BuildFailed
from assay.rootfs import How, Package, PackagesLock, bootstrap, index, kept_copy, sources
from assay.rootfs.index import Index
from assay.rootfs.sources import Archive
from tests.unit.rootfs.known import LOCKED, MIRROR, RESOLVED, ROOTFS, TAR, C, lock_again, tar_of

MOVED = (dataclasses.replace(LOCKED[0], version="2.41-13", sha256=C), LOCKED[1])
OTHER_TAR = tar_of(hostname="two", more="")
MOVED_TAR = tar_of(hostname="moved")
HALF = IndexFailed("an index cannot be fetched: http://a.example/x", "Try again.")
GONE = IndexFailed("The repository 'x' does not have a Release file.", "It left.", absent=True)
SILENT = IndexFailed("http://b.example/InRelease says nothing for 10 seconds", "Try again.")
SNAPSHOT, OLD = "the snapshot of 2026-11-20 06:07", "the archive of old releases"


class World:
    """The archives by their names, each with what it has or the error that it gives, and what mmdebstrap makes."""

    def __init__(self) -> None:
        self.archives: dict[str, tuple[Package, ...] | IndexFailed] = {
            MIRROR.name: LOCKED,
            SNAPSHOT: SILENT,
            OLD: SILENT,
        }
        self.tars: dict[tuple[Package, ...], bytes] = {LOCKED: TAR, MOVED: MOVED_TAR}
        self.asked: list[str] = []
        self.bootstrapped: list[tuple[str, dict[str, str]]] = []

    def ask(self, archive: Archive, keys: Path, names: Iterable[str], tell: Any) -> Index:
        self.asked.append(archive.name)
        has = self.archives[archive.name]
        if isinstance(has, IndexFailed):
            raise has
        return Index({package.name: {package.version: package.sha256} for package in has})

    def bootstrap(
        self, image: catalog.Image, pins: Mapping[str, str], archive: Archive, work: Path, on_step: Any
    ) -> tuple[Path, tuple[Package, ...]]:
        self.bootstrapped.append((archive.name, dict(pins)))
        on_step("extracting archives...")
        has = self.archives[archive.name]
        assert not isinstance(has, IndexFailed)
        (work / "rootfs.tar").write_bytes(self.tars[has])
        return work / "rootfs.tar", has


@pytest.fixture
def world(image: catalog.Image, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(apt, "available", lambda: True)
    monkeypatch.setattr(sources, "mirror", lambda image: MIRROR)
    monkeypatch.setattr(bootstrap, "programs", lambda *_: Path("/tools"))
    monkeypatch.setattr(bootstrap, "bootstrap", made.bootstrap)
    monkeypatch.setattr(index, "ask", made.ask)
    return made


def ignore(_text: str) -> None:
    """What is done meanwhile is not looked at."""


def in_cache() -> list[str]:
    folder = kept_copy("").parent
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


# ---- exact -----------------------------------------------------------------------------------------


def test_a_base_is_made_once_and_kept(image: catalog.Image, world: World) -> None:
    said: list[str] = []
    for _ in range(2):
        made = rootfs.rootfs(image, said.append)
        assert made == rootfs.Rootfs(kept_copy(ROOTFS))
        assert made.tar.read_bytes() == TAR
    assert world.bootstrapped == [(MIRROR.name, {package.name: package.version for package in LOCKED})]
    assert said == [
        "asking the mirror",
        "bootstrapping from the mirror",
        "extracting archives...",
        "kept copy of the root file system",
    ]
    rootfs.rootfs(image, ignore, How(fresh=True))
    assert len(world.bootstrapped) == 2
    assert in_cache() == [f"{ROOTFS}.tar"]


@pytest.mark.parametrize(("at", "asked"), [("asking the mirror", 1), ("bootstrapping", 1)])
def test_who_is_stopped_begins_nothing_more(image: catalog.Image, world: World, at: str, asked: int) -> None:
    """As by Ctrl-C, which ends apt too: its failure is then no reason to go on with another archive."""
    stop = threading.Event()

    def on_step(text: str) -> None:
        if text.startswith(at):
            stop.set()

    if at != "bootstrapping":
        world.archives = {MIRROR.name: HALF, SNAPSHOT: LOCKED, OLD: LOCKED}
    with pytest.raises(CancelledError):
        rootfs.rootfs(image, on_step, How(stop=stop))
    assert len(world.asked) == asked
    assert in_cache() == []


def test_a_damaged_kept_copy_is_made_anew(image: catalog.Image, world: World) -> None:
    rootfs.rootfs(image, ignore).tar.write_bytes(TAR[:-1])
    assert rootfs.rootfs(image, ignore).tar.read_bytes() == TAR


def test_where_the_mirror_moved_on_the_snapshot_is_taken(image: catalog.Image, world: World) -> None:
    world.archives = {MIRROR.name: MOVED, SNAPSHOT: LOCKED}
    assert rootfs.rootfs(image, ignore).drift is None
    assert world.asked == [MIRROR.name, SNAPSHOT]
    assert [name for name, _ in world.bootstrapped] == [SNAPSHOT]


def test_where_the_mirror_answers_half_the_snapshot_is_taken(image: catalog.Image, world: World) -> None:
    world.archives = {MIRROR.name: HALF, SNAPSHOT: LOCKED}
    assert rootfs.rootfs(image, ignore).drift is None


def test_a_suite_that_left_the_mirrors_is_among_the_old_releases(image: catalog.Image, world: World) -> None:
    world.archives = {MIRROR.name: GONE, SNAPSHOT: SILENT, OLD: LOCKED}
    assert rootfs.rootfs(image, ignore).drift is None
    assert world.asked == [MIRROR.name, SNAPSHOT, OLD]


def test_a_lock_without_a_time_has_no_snapshot(image: catalog.Image, world: World) -> None:
    image = lock_again(image.folder.parents[2], LOCKED, ROOTFS, None)
    world.archives = {MIRROR.name: MOVED, SNAPSHOT: LOCKED}
    with pytest.raises(BuildFailed, match="the lock says no time, so no snapshot is asked"):
        rootfs.rootfs(image, ignore, How(locked=True))
    assert SNAPSHOT not in world.asked


# ---- drift -----------------------------------------------------------------------------------------

DRIFT = Drift(hashlib.sha256(MOVED_TAR).hexdigest(), (Change("libc6", "2.41-12", "2.41-13"),))


@pytest.fixture
def moved(world: World) -> World:
    world.archives[MIRROR.name] = MOVED
    return world


def test_what_no_archive_has_drifts_and_is_said(image: catalog.Image, moved: World) -> None:
    said: list[str] = []
    made = rootfs.rootfs(image, said.append)
    assert made.drift == DRIFT
    assert made.tar.read_bytes() == MOVED_TAR
    assert moved.bootstrapped == [(MIRROR.name, {})], "the same package list, at today's versions"
    assert said[-1] == "drifted: 1 package has moved: libc6 2.41-12 -> 2.41-13"
    assert in_cache() == [f"{ROOTFS}.drifted"]


@pytest.mark.parametrize(
    ("now", "changes"),
    [
        (LOCKED[:1], (Change("zlib1g", LOCKED[1].version, None),)),
        ((*LOCKED, Package("bash", "5", C)), (Change("bash", None, "5"),)),
        (MOVED[:1], (Change("libc6", "2.41-12", "2.41-13"), Change("zlib1g", LOCKED[1].version, None))),
    ],
)
def test_dependencies_that_come_and_go_are_drift(
    image: catalog.Image, world: World, now: tuple[Package, ...], changes: tuple[Change, ...]
) -> None:
    world.archives[MIRROR.name] = now
    world.tars[now] = MOVED_TAR
    assert rootfs.rootfs(image, ignore).drift == Drift(DRIFT.rootfs, changes)


def test_a_drifted_base_is_asked_for_anew_after_a_day_or_on_demand(
    image: catalog.Image, moved: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rootfs.rootfs(image, ignore)
    moved.asked.clear()
    assert rootfs.rootfs(image, ignore).drift == DRIFT
    assert moved.asked == []
    rootfs.rootfs(image, ignore, How(refresh=True))
    assert moved.asked != []
    moved.asked.clear()
    later = time.time() + 24 * 3600 + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert rootfs.rootfs(image, ignore).drift == DRIFT
    assert moved.asked != []


def test_without_any_archive_the_last_drifted_copy_is_used(
    image: catalog.Image, moved: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rootfs.rootfs(image, ignore)
    moved.archives = {MIRROR.name: HALF, SNAPSHOT: SILENT}
    later = time.time() + 24 * 3600 + 1
    monkeypatch.setattr(time, "time", lambda: later)
    said: list[str] = []
    assert rootfs.rootfs(image, said.append).drift == DRIFT
    assert said[-1].startswith("drifted: no archive answers, so as it was before: 1 package has moved")
    for how in (How(refresh=True), How(locked=True), How(fresh=True)):
        with pytest.raises(IndexFailed):
            rootfs.rootfs(image, ignore, how)


def test_a_damaged_drifted_copy_is_made_anew(image: catalog.Image, moved: World) -> None:
    folder = rootfs.rootfs(image, ignore).tar.parent
    for damage in ({"tar": b""}, {"record.json": b"{"}, {"record.json": b'{"asked": 1}'}):
        for name, data in damage.items():
            path = next(folder.glob("*.tar")) if name == "tar" else folder / name
            path.write_bytes(data)
        moved.asked.clear()
        assert rootfs.rootfs(image, ignore).tar.read_bytes() == MOVED_TAR
        assert moved.asked != []


def test_an_older_drift_goes_when_nobody_can_read_it_any_more(image: catalog.Image, moved: World) -> None:
    first = rootfs.rootfs(image, ignore).tar
    moved.tars[MOVED] = OTHER_TAR
    second = rootfs.rootfs(image, ignore, How(refresh=True)).tar
    assert first.exists(), "another command may build of it just now"
    os.utime(first, (0, 0))
    moved.tars[MOVED] = MOVED_TAR + b"\0"
    rootfs.rootfs(image, ignore, How(refresh=True))
    assert not first.exists()
    assert second.exists()


def test_an_exact_one_takes_the_place_of_a_drifted_one(image: catalog.Image, moved: World) -> None:
    rootfs.rootfs(image, ignore)
    moved.archives[SNAPSHOT] = LOCKED
    assert rootfs.rootfs(image, ignore, How(refresh=True)).drift is None
    assert in_cache() == [f"{ROOTFS}.tar"]


def test_a_kept_copy_comes_before_a_drifted_one(image: catalog.Image, moved: World) -> None:
    rootfs.rootfs(image, ignore)
    kept_copy(ROOTFS).write_bytes(TAR)
    assert rootfs.rootfs(image, ignore).drift is None


def test_locked_refuses_to_drift(image: catalog.Image, moved: World) -> None:
    rootfs.rootfs(image, ignore)
    with pytest.raises(BuildFailed) as caught:
        rootfs.rootfs(image, ignore, How(locked=True))
    assert "base/trixie cannot be made as it was locked: the mirror lacks libc6 2.41-12" in caught.value.what
    assert "the snapshot of 2026-11-20 06:07: http://b.example/InRelease says nothing" in caught.value.what
    assert str(kept_copy(ROOTFS)) in caught.value.todo
    assert len(str(caught.value).splitlines()) == 2
    assert len(moved.bootstrapped) == 1, "nothing is made only to be thrown away"


@pytest.mark.parametrize("half", [HALF, IndexFailed("an index cannot be fetched: Could not resolve", "Try again.")])
def test_nothing_is_resolved_of_half_an_archive(image: catalog.Image, world: World, half: IndexFailed) -> None:
    world.archives = {MIRROR.name: half, SNAPSHOT: SILENT, OLD: LOCKED}
    with pytest.raises(IndexFailed) as caught:
        rootfs.rootfs(image, ignore)
    assert half.what in caught.value.what
    assert str(kept_copy(ROOTFS)) in caught.value.todo
    assert world.bootstrapped == []
    assert OLD not in world.asked, "the suite has not left: the mirror fails"
    with pytest.raises(IndexFailed, match="an index cannot be fetched"):
        rootfs.lock(image, ignore)


def test_versions_that_go_back_are_half_an_archive_too(image: catalog.Image, world: World) -> None:
    older = (dataclasses.replace(LOCKED[0], version="2.41-11", sha256=C), LOCKED[1])
    world.archives[MIRROR.name] = older
    world.tars[older] = MOVED_TAR
    words = r"the mirror is older than the lock: libc6 2\.41-12 -> 2\.41-11\nIt is behind, or a part of it is missing"
    for resolve in (rootfs.rootfs, rootfs.lock):
        with pytest.raises(BuildFailed, match=words):
            resolve(image, ignore)
    assert in_cache() == []


def test_no_archive_has_the_suite_any_more(image: catalog.Image, world: World) -> None:
    world.archives = {MIRROR.name: GONE, SNAPSHOT: SILENT, OLD: GONE}
    with pytest.raises(BuildFailed) as caught:
        rootfs.rootfs(image, ignore)
    for asked in (f"the mirror: {GONE.what}", f"{SNAPSHOT}: {SILENT.what}", f"{OLD}: {GONE.what}"):
        assert asked in caught.value.what
    assert "no archive has trixie" in caught.value.what
    assert f"of a machine that has built it to {kept_copy(ROOTFS)}" in caught.value.todo
    assert len(str(caught.value).splitlines()) == 2


def test_an_old_release_can_drift(image: catalog.Image, world: World) -> None:
    world.archives = {MIRROR.name: GONE, SNAPSHOT: SILENT, OLD: MOVED}
    assert rootfs.rootfs(image, ignore).drift == DRIFT
    assert world.bootstrapped == [(OLD, {})]


def test_a_snapshot_is_no_archive_of_today(image: catalog.Image, world: World) -> None:
    world.archives = {MIRROR.name: HALF, SNAPSHOT: MOVED}
    with pytest.raises(IndexFailed):
        rootfs.rootfs(image, ignore)


# ---- what is never drift ---------------------------------------------------------------------------


def test_the_same_version_with_another_hash(image: catalog.Image, world: World) -> None:
    forged = (dataclasses.replace(LOCKED[0], sha256=C), LOCKED[1])
    for archive in (MIRROR.name, SNAPSHOT):
        world.archives = {MIRROR.name: MOVED, SNAPSHOT: MOVED, archive: forged}
        with pytest.raises(BuildFailed, match=r"libc6 2\.41-12 has another hash than the locked one"):
            rootfs.rootfs(image, ignore)
    assert world.bootstrapped == []


def test_another_hash_that_only_shows_in_what_was_made(
    image: catalog.Image, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*arguments: Any) -> tuple[Path, tuple[Package, ...]]:
        path, packages = world.bootstrap(*arguments)
        return path, (dataclasses.replace(packages[0], sha256=C), *packages[1:])

    monkeypatch.setattr(bootstrap, "bootstrap", made)
    with pytest.raises(BuildFailed, match="another hash"):
        rootfs.rootfs(image, ignore)
    assert in_cache() == []


# ---- the same packages, another tar -----------------------------------------------------------------


def test_another_tar_of_the_same_packages_is_said_in_its_own_words(image: catalog.Image, world: World) -> None:
    world.tars[LOCKED] = OTHER_TAR
    made = rootfs.rootfs(image, ignore)
    assert made.drift is not None
    assert made.drift.changes == ()
    assert made.drift.files == (f"2 files could not be compared, as no kept copy of sha256:{ROOTFS} is at hand",)
    assert str(made.drift).startswith("the same packages gave another tar than the locked one: 2 files could not")


def test_where_a_kept_copy_is_at_hand_the_files_that_differ_are_named(image: catalog.Image, world: World) -> None:
    rootfs.rootfs(image, ignore)
    world.tars[LOCKED] = OTHER_TAR
    made = rootfs.rootfs(image, ignore, How(fresh=True))
    assert made.drift is not None
    assert made.drift.files == ("etc/hostname (content)", "etc/more (only in what was made)")
    with pytest.raises(BuildFailed, match=r"the same packages gave another tar .*: etc/hostname \(content\)"):
        rootfs.rootfs(image, ignore, How(fresh=True, locked=True))
    assert kept_copy(ROOTFS).read_bytes() == TAR


# ---- locking ---------------------------------------------------------------------------------------


def test_locking_keeps_the_tar_and_the_time(image: catalog.Image, moved: World) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    lock = rootfs.lock(image, ignore)
    assert (lock.packages, lock.rootfs) == (MOVED, hashlib.sha256(MOVED_TAR).hexdigest())
    assert lock.resolved is not None
    assert before <= lock.resolved <= datetime.now(UTC)
    assert kept_copy(lock.rootfs).read_bytes() == MOVED_TAR


def test_a_lock_that_nothing_has_moved_in_stays_to_its_time(image: catalog.Image, world: World) -> None:
    assert rootfs.lock(image, ignore) == PackagesLock(LOCKED, ROOTFS, RESOLVED)
    image = lock_again(image.folder.parents[2], LOCKED, ROOTFS, None)
    assert rootfs.lock(image, ignore).resolved is not None, "one without a time gets one"


def test_no_root_no_base(image: catalog.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "available", lambda: False)
    with pytest.raises(BuildFailed, match="takes Linux, root and apt"):
        rootfs.rootfs(image, ignore)


def test_no_mmdebstrap_no_base(image: catalog.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(*_: object) -> None:
        raise apt.EngineMissing("the archive does not answer", "Check it.")

    monkeypatch.setattr(apt, "available", lambda: True)
    monkeypatch.setattr(apt, "unpack", unpack)
    with pytest.raises(BuildFailed, match="mmdebstrap cannot be had: the archive does not answer\nCheck it"):
        rootfs.rootfs(image, ignore)
