from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from assay.errors import BuildFailed
from tests.unit.place import (
    ORDER,
    Place,
)
from tests.unit.repository import STACK


def test_parents_layers_that_are_no_prefix(place: Place) -> None:
    place.engine.foreign = {"torchy"}
    with pytest.raises(BuildFailed, match=r"torchy does not stand on cuda/1\.0") as caught:
        place.build()
    assert "images/Dockerfile" in caught.value.todo
    assert list(place.known()) == [name for name in ORDER if name != "torchy"]
    assert not [name for name in place.engine.names if name.startswith("assay/torchy:") and "latest" not in name]


def test_an_image_above_its_limit(place: Place) -> None:
    place.engine.size = 2 * 10**9
    place.build("plain")
    place.engine.size += 1
    with pytest.raises(BuildFailed, match=r"torchy takes 2\.0 GB, and its limit is 2 GB"):
        place.build("torchy")
    assert "cuda/1.0" in place.known()  # no limit is set for that
    assert "torchy" not in place.known()


@pytest.mark.parametrize(("free", "enough"), [(2 * 3 * 1.6e9 + 1, True), (2 * 3 * 1.6e9 - 1, False)])
def test_room_is_looked_for_first(place: Place, monkeypatch: pytest.MonkeyPatch, free: float, enough: bool) -> None:
    usage = shutil.disk_usage(place.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type(usage)(10**12, 0, int(free)))
    if enough:
        place.build()
        return
    with pytest.raises(BuildFailed, match="10 GB are needed below") as caught:
        place.build()
    assert len(str(caught.value).splitlines()) == 2
    assert place.engine.built == []


def test_room_for_a_stack_is_counted_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("images/cuda/1.0/image.toml", STACK + "[limits]\nsize_gb = 1.5\n")
    usage = shutil.disk_usage(place.root)
    # 2 for plain, 1.5 for the stack, 0.5 each for the two above it
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type(usage)(10**12, 0, int(4.5 * 1.6e9)))
    place.build()


def test_room_is_needed_for_what_is_not_there_yet(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.build()
    usage = shutil.disk_usage(place.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type(usage)(1, 1, 0))
    place.build()
    monkeypatch.setattr(place.engine, "data_root", lambda: Path("/no/such/folder"))  # an engine elsewhere
    place.write("build/images.json", '{"schema": 1, "images": {}}')
    place.build()
