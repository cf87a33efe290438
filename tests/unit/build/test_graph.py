from __future__ import annotations

import errno
import threading

import docker.errors
import pytest
import requests

from assay.build import graph
from assay.catalog.built import short, tag
from assay.errors import AssayError, BuildFailed, EngineMissing, UsageError
from tests.unit.place import (
    ORDER,
    Place,
    failing,
    interrupt_the_builder,
)


def test_parents_first(place: Place) -> None:
    made = place.build()
    assert sorted(place.engine.built) == ORDER
    at = {name: index for index, name in enumerate(place.engine.built)}
    assert at["base/trixie"] < at["cuda/1.0"] < min(at["torchy"], at["tensory"])
    assert at["base/trixie"] < at["plain"]
    assert list(made.images) == ORDER
    assert place.known() == made.images
    assert place.view.errors == {}


def test_only_what_is_named_and_what_it_stands_on(place: Place) -> None:
    place.build("plain")
    assert place.engine.built == ["base/trixie", "plain"]
    assert list(place.known()) == ["base/trixie", "plain"]


def test_independent_images_are_built_side_by_side(place: Place) -> None:
    together = threading.Barrier(2, timeout=60)

    def meet(name: str) -> None:
        if name in {"torchy", "tensory"}:
            together.wait()  # breaks, if the other one waits for this one's end

    place.build("cuda/1.0")
    place.engine.on_build = meet
    place.build("torchy", "tensory")
    assert sorted(place.engine.built) == ["tensory", "torchy"]


def test_a_child_begins_as_soon_as_its_own_parent_is_there(place: Place) -> None:
    """The stack is held back until the image that stands on the base alone is done."""
    plain = threading.Event()

    def wait(name: str) -> None:
        if name == "cuda/1.0":
            assert plain.wait(60)
        if name == "plain":
            plain.set()

    place.engine.on_build = wait
    place.build()
    assert len(place.engine.built) == 5


def test_what_needs_the_most_room_is_built_first(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "SIDE_BY_SIDE", 1)
    toml = place.root / "images/torchy/image.toml"
    toml.write_text(toml.read_text().replace("size_gb = 2", "size_gb = 3"))
    place.build()
    assert place.engine.built == ["base/trixie", "cuda/1.0", "torchy", "plain", "tensory"]


def test_nothing_changed_nothing_built(place: Place) -> None:
    before = place.build()
    written = (place.root / "build/images.json").stat().st_mtime_ns
    assert place.build() == before
    assert place.engine.built == []
    assert {event[2] for event in place.view.events if event[0] == "done"} == {"kept"}
    assert (place.root / "build/images.json").stat().st_mtime_ns == written


def test_only_what_changed_is_built(place: Place) -> None:
    place.build()
    place.write("images/torchy/requirements.lock", (place.root / "images/torchy/requirements.lock").read_text() + "#")
    place.build()
    assert place.engine.built == ["torchy"]


def test_an_image_that_the_engine_lost_is_built_again(place: Place) -> None:
    place.build()
    del place.engine.names["assay/plain:latest"]
    place.build()
    assert place.engine.built == ["plain"]


def test_a_parent_with_another_digest_takes_its_children_along(place: Place) -> None:
    place.build()
    old = place.known()["cuda/1.0"].digest
    place.write("images/cuda/Dockerfile", "ARG PARENT\n#")
    place.engine.content = 1
    place.build()
    assert sorted(place.engine.built) == ["cuda/1.0", "tensory", "torchy"]
    assert place.known()["cuda/1.0"].digest != old
    assert tag("cuda/1.0", short(old)) not in place.engine.names  # the superseded one is let go
    assert tag("cuda/1.0", short(place.known()["cuda/1.0"].digest)) in place.engine.names


def test_a_parent_that_comes_out_the_same_leaves_its_children(place: Place) -> None:
    place.build()
    place.write("images/cuda/Dockerfile", "ARG PARENT\n#")
    place.build()
    assert place.engine.built == ["cuda/1.0"]


def test_a_failed_image_does_not_stop_those_that_do_not_need_it(place: Place) -> None:
    place.engine.on_build = failing("cuda/1.0")
    with pytest.raises(BuildFailed, match=r"cuda/1\.0 broke"):
        place.build()
    assert sorted(place.engine.built) == ["base/trixie", "cuda/1.0", "plain"]
    assert list(place.known()) == ["base/trixie", "plain"]
    assert {name: str(error) for name, error in place.view.errors.items()} == {
        "cuda/1.0": "cuda/1.0 broke\nMend it.",
        "tensory": "None",
        "torchy": "None",
    }
    place.engine.on_build = failing()
    place.build()
    assert sorted(place.engine.built) == ["cuda/1.0", "tensory", "torchy"]
    assert list(place.known()) == ORDER


def test_the_lowest_image_fails(place: Place) -> None:
    place.engine.on_build = failing("base/trixie")
    with pytest.raises(BuildFailed, match="base/trixie broke"):
        place.build()
    assert place.engine.built == ["base/trixie"]
    assert set(place.view.errors) == set(ORDER)
    assert place.known() == {}


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (OSError(errno.EACCES, "Permission denied", "/x/y"), "torchy: /x/y: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), "torchy: the disk is full"),
        (KeyError("a bug"), "torchy: KeyError: 'a bug', at test_graph.py:"),
        (docker.errors.APIError("the engine refused"), "torchy: APIError: the engine refused"),
        (requests.ConnectionError("reset by peer"), "torchy: ConnectionError: reset by peer"),
        (EngineMissing("the engine went away", "Run it again."), "torchy: the engine went away"),
    ],
)
def test_whatever_is_raised_for_one_image_is_that_images_alone(place: Place, raised: Exception, words: str) -> None:
    def fail(name: str) -> None:
        if name == "torchy":
            raise raised

    place.engine.on_build = fail
    with pytest.raises(AssayError) as caught:
        place.build()
    assert caught.value.what.startswith(words)
    assert len(str(caught.value).splitlines()) == 2
    assert [(name, error) for name, error in place.view.errors.items()] == [("torchy", caught.value)]
    assert list(place.known()) == [name for name in ORDER if name != "torchy"]
    log = (place.root / "build/logs/torchy.log").read_text()
    assert ("Traceback" in log) == (not isinstance(raised, AssayError))


def test_one_error_names_every_image_that_failed(place: Place) -> None:
    def fail(name: str) -> None:
        if name == "torchy":
            raise BuildFailed("torchy broke", "Mend torchy.")
        if name == "plain":
            raise ValueError("odd")

    place.engine.on_build = fail
    with pytest.raises(BuildFailed, match=r"2 images failed: plain: ValueError: odd.*; torchy broke") as caught:
        place.build()
    assert "torchy: Mend torchy." in caught.value.todo
    assert "plain: Run it again." in caught.value.todo
    assert list(place.known()) == ["base/trixie", "cuda/1.0", "tensory"]


@pytest.mark.parametrize(("other", "code"), [(EngineMissing, 3), (BuildFailed, 4)])
def test_images_that_fail_alike_keep_their_exit_code(place: Place, other: type[AssayError], code: int) -> None:
    def fail(name: str) -> None:
        if name in {"torchy", "plain"}:
            raise (other if name == "plain" else EngineMissing)("it went away", "Run it again.")

    place.engine.on_build = fail
    with pytest.raises(AssayError) as caught:
        place.build()
    assert caught.value.exit_code == code
    assert caught.value.what == "2 images failed: plain: it went away; torchy: it went away"
    assert caught.value.todo == "Run it again."


def test_an_engine_that_dies(place: Place) -> None:
    def die(name: str) -> None:
        if name == "torchy":
            raise EngineMissing("the engine went away", "Run it again.")

    place.engine.on_build = die
    with pytest.raises(EngineMissing):
        place.build()
    assert "torchy" not in place.known()
    assert "plain" in place.known()


def test_an_interrupt_keeps_what_is_finished(place: Place, ended: threading.Event) -> None:
    def interrupt(name: str) -> None:
        if name in {"cuda/1.0", "plain"}:
            if name == "cuda/1.0":
                interrupt_the_builder(ended)
            assert ended.wait(60)  # the process of this build, ended
            raise BuildFailed(f"{name} was ended", "Run it again.")

    place.engine.on_build = interrupt
    with pytest.raises(KeyboardInterrupt):
        place.build()
    assert ended.is_set()
    assert list(place.known()) == ["base/trixie"]
    assert not [name for name in threading.enumerate() if name.name.startswith("build")]
    place.engine.on_build = failing()
    place.build()
    assert "base/trixie" not in place.engine.built
    assert list(place.known()) == ORDER


def test_a_damaged_list_stops_a_build_before_it_begins(place: Place) -> None:
    place.write("build/images.json", '{"schema": 9}')
    with pytest.raises(UsageError):
        place.build()
    assert place.engine.built == []
