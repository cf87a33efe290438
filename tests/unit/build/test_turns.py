from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from typing import TextIO

import pytest

from assay import build, paths
from assay.build import Options
from tests.unit.place import (
    Place,
    View,
    interrupt_the_builder,
)


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
        def step(self, name: str, text: str) -> None:
            assert "waiting for another build" in text
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
        def step(self, name: str, text: str) -> None:
            if "waiting for another build on this engine" in text:
                built_before.append(place.engine.built)
                fcntl.flock(elsewhere, fcntl.LOCK_UN)

    build.build(place.catalog, place.engine, ["plain"], Told(), Options(pack=True))  # type: ignore[arg-type]
    assert built_before == [[]]
    assert place.engine.built == ["base/trixie", "plain"]


def test_waiting_for_one_elsewhere_can_be_interrupted(
    place: Place, elsewhere: TextIO, ended: threading.Event
) -> None:
    class Told(View):
        def step(self, name: str, text: str) -> None:
            if "waiting for another build on this engine" in text:
                interrupt_the_builder(ended)

    with pytest.raises(KeyboardInterrupt):
        build.build(place.catalog, place.engine, ["plain"], Told(), Options(pack=True))  # type: ignore[arg-type]
    assert place.engine.built == []
