from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from assay import build
from assay.build import Options
from assay.host import holders, paths
from tests.unit.place import (
    Place,
    View,
    interrupt_the_builder,
)

ROOT = Path(__file__).parents[3]


def test_one_build_at_a_time(place: Place) -> None:
    begun, go = threading.Event(), threading.Event()

    def wait(name: str) -> None:
        begun.set()
        assert go.wait(60)

    place.engine.on_build = wait
    first = threading.Thread(target=lambda: place.build("base/trixie"))
    first.start()
    assert begun.wait(60)

    class Told(View):
        def phase(self, name: str, text: str) -> None:
            if text:
                assert text == "waiting for another build in this checkout (in this command)"
                go.set()

    view = Told()
    build.build(place.catalog, place.engine, ["base/trixie"], view)  # type: ignore[arg-type]
    first.join(60)
    assert ("done", "base/trixie", "kept") in view.events


@pytest.fixture
def elsewhere(place: Place) -> Iterator[TextIO]:
    """A build on the same engine, of another checkout, which is under way."""
    paths.cache().mkdir(parents=True, exist_ok=True)
    with (paths.cache() / "builds.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield handle


def test_a_build_elsewhere_on_the_engine_keeps_its_cache(place: Place, elsewhere: TextIO) -> None:
    place.build()
    assert place.engine.built, "it builds beside it"
    assert not place.engine.tidied
    fcntl.flock(elsewhere, fcntl.LOCK_UN)
    place.write("images/torchy/requirements.lock", (place.root / "images/torchy/requirements.lock").read_text() + "#")
    place.build()
    assert place.engine.tidied


def test_a_packing_build_waits_for_one_elsewhere(place: Place, elsewhere: TextIO) -> None:
    built_before: list[list[str]] = []

    class Told(View):
        def phase(self, name: str, text: str) -> None:
            if "waiting for another command" in text:
                built_before.append(place.engine.built)
                fcntl.flock(elsewhere, fcntl.LOCK_UN)

    build.build(place.catalog, place.engine, ["plain"], Told(), Options(pack=True))  # type: ignore[arg-type]
    assert built_before == [[]]
    assert place.engine.built == ["base/trixie", "plain"]


def test_waiting_for_one_elsewhere_can_be_interrupted(
    place: Place, elsewhere: TextIO, ended: threading.Event
) -> None:
    class Told(View):
        def phase(self, name: str, text: str) -> None:
            if "waiting for another command" in text:
                interrupt_the_builder(ended)

    with pytest.raises(KeyboardInterrupt):
        build.build(place.catalog, place.engine, ["plain"], Told(), Options(pack=True))  # type: ignore[arg-type]
    assert place.engine.built == []


HOLD = """
import sys, threading
from pathlib import Path
from assay.build.turns import engine_turn
from assay.host.holders import Holder
import os
with engine_turn(Holder(os.getpid(), "/their/clone", "theirs"), print, threading.Event(), alone=True):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def another(place: Place) -> Iterator[subprocess.Popen[str]]:
    """Another command, of another checkout, that holds the engine."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()


def test_for_whom_is_waited(place: Place, another: subprocess.Popen[str]) -> None:
    told: list[str] = []

    class Told(View):
        def phase(self, name: str, text: str) -> None:
            if text.startswith("waiting for"):
                told.append(f"{name}: {text}")
                assert another.stdin is not None
                another.stdin.close()

    build.build(place.catalog, place.engine, ["plain"], Told(), Options(pack=True))  # type: ignore[arg-type]
    assert told[0] == f"base/trixie: waiting for theirs (in /their/clone, process {another.pid})"
    assert place.engine.built == ["base/trixie", "plain"]


def test_who_was_killed_is_not_waited_for(place: Place, another: subprocess.Popen[str]) -> None:
    assert [one.what for one in holders.all_beside(paths.cache() / "builds.lock")] == ["theirs"]
    another.kill()
    another.wait()
    assert holders.all_beside(paths.cache() / "builds.lock") == []
    assert not list((paths.cache() / "builds.lock.holders").iterdir()), "its file is removed"
    place.build("plain")
    assert not [event for event in place.view.events if "waiting" in str(event)]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 9000, b'{"pid": "x"}'])
def test_a_holder_that_says_nothing_that_can_be_read(tmp_path: Path, data: bytes) -> None:
    folder = tmp_path / "lock.holders"
    folder.mkdir()
    with (folder / "x.holder").open("wb") as handle:
        handle.write(data)
        handle.flush()
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert holders.all_beside(tmp_path / "lock") == []


def test_images_of_one_command_that_wait_for_each_other_are_named(place: Place) -> None:
    place.build("cuda/1.0")
    told: list[str] = []
    waited = threading.Event()

    class Told(View):
        def phase(self, name: str, text: str) -> None:
            if text.startswith("waiting for"):
                told.append(f"{name}: {text}")
                waited.set()

    place.engine.on_build = lambda name: assert_set(waited)
    build.build(place.catalog, place.engine, ["tensory", "torchy"], Told(), Options(pack=True))  # type: ignore[arg-type]
    assert told[0] in {
        "tensory: waiting for torchy (in this command)",
        "torchy: waiting for tensory (in this command)",
    }


def assert_set(event: threading.Event) -> None:
    assert event.wait(60)
