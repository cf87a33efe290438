"""Bases that are made while the engine is still started."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from assay import build, rootfs
from assay.build import Ahead, Options
from assay.catalog import Image
from assay.errors import BuildFailed
from assay.rootfs import How, Rootfs
from tests.unit.place import Place, View, failing, interrupt_the_builder

Made = list[tuple[str, str]]


@pytest.fixture
def made(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Made:
    """Which root file systems are made, and in which thread."""
    found: Made = []

    def make(image: Image, on_step: Callable[[str], None], how: How | None = None) -> Rootfs:
        found.append((image.name, threading.current_thread().name.partition("_")[0]))
        return Rootfs(tmp_path / "tar")

    monkeypatch.setattr(rootfs, "rootfs", make)
    return found


def built(place: Place, ahead: Ahead, view: View) -> None:
    build.build(place.catalog, place.engine, ["plain"], view, Options(), ahead)  # type: ignore[arg-type]


def test_a_base_is_made_once_and_before_there_is_an_engine(place: Place, made: Made) -> None:
    view = View()
    with Ahead(place.catalog, ["plain"], view, Options()) as ahead:
        ahead.begin()
        ahead.begin()
        while not made:
            pass
        built(place, ahead, view)
    assert made == [("base/trixie", "ahead")]
    assert place.engine.built == ["base/trixie", "plain"]


def test_a_base_that_is_made_is_not_said_to_be_in_the_making(place: Place, made: Made) -> None:
    """What needs it may be built much later."""
    said: list[tuple[str, str]] = []
    view = View()
    view.phase = lambda name, text: said.append((name, text))  # type: ignore[method-assign]
    with Ahead(place.catalog, ["plain"], view, Options()) as ahead:
        ahead.begin()
        while not made:
            pass
    assert said[-1] == ("base/trixie", "")


def test_where_the_engine_is_there_already_nothing_is_made_ahead(place: Place, made: Made) -> None:
    with Ahead(place.catalog, ["plain"], View(), Options()) as ahead:
        built(place, ahead, View())
    assert made == [("base/trixie", "build")]


@pytest.mark.parametrize("options", [Options(no_cache=True), Options()])
def test_what_was_built_or_is_built_without_the_cache_is_not(place: Place, made: Made, options: Options) -> None:
    place.build("plain")
    made.clear()
    with Ahead(place.catalog, ["plain"], View(), options) as ahead:
        ahead.begin()
    assert made == []


def test_what_fails_ahead_is_that_base_s_failure(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(image: Image, *_: object) -> Rootfs:
        failing(image.name)(image.name)
        raise AssertionError

    monkeypatch.setattr(rootfs, "rootfs", make)
    view = View()
    with Ahead(place.catalog, [], view, Options()) as ahead:
        ahead.begin()
        with pytest.raises(BuildFailed, match="base/trixie broke"):
            built(place, ahead, view)
    assert set(view.errors) == {"base/trixie", "plain"}


def test_left_by_an_exception_it_makes_no_more(place: Place, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[bool] = []

    def make(image: Image, on_step: object, how: How) -> Rootfs:
        assert how.stop is not None
        stopped.append(how.stop.wait(60))
        raise BuildFailed("it was ended", "Run it again.")

    monkeypatch.setattr(rootfs, "rootfs", make)
    ahead = Ahead(place.catalog, [], View(), Options())
    ahead.begin()
    ahead.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert stopped in ([True], [])


def test_an_interrupt_ends_what_is_waited_for_ahead(
    place: Place, monkeypatch: pytest.MonkeyPatch, ended: threading.Event
) -> None:
    """A base that another command makes is waited for ahead, and a build waits for that: Ctrl-C ends both."""
    stopped: list[bool] = []

    def make(image: Image, on_step: Callable[[str], None], how: How) -> Rootfs:
        on_step("waiting for another command that makes it")
        assert how.stop is not None
        stopped.append(how.stop.wait(20))
        raise CancelledError

    monkeypatch.setattr(rootfs, "rootfs", make)
    ahead = Ahead(place.catalog, ["plain"], View(), Options())
    ahead.begin()
    threading.Thread(target=interrupt_the_builder, args=(ended,)).start()
    with pytest.raises(KeyboardInterrupt):
        built(place, ahead, View())
    ahead.__exit__(None, None, None)
    assert stopped == [True]
