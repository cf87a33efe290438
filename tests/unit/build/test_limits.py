from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from assay import catalog
from assay.build.limits import FACTORS, Factors, peak_gb
from assay.catalog import Built
from assay.errors import BuildFailed
from tests.conftest import ROOT
from tests.unit.place import (
    ORDER,
    Place,
)
from tests.unit.repository import STACK

BUILT = Built("k", None, "sha256:1", "sha256:c", ("a",), (), 1, 2, 3.0, "now")


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


# Three frameworks of 2 GB each on what has no limit, all of which stays unpacked.
ALL = 3 * 2 * FACTORS.filled * (FACTORS.compressed + FACTORS.unpacked) * 1e9


@pytest.mark.parametrize(("free", "enough"), [(ALL + 1, True), (ALL - 1e8, False)])
def test_room_is_looked_for_first(place: Place, monkeypatch: pytest.MonkeyPatch, free: float, enough: bool) -> None:
    usage = shutil.disk_usage(place.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type(usage)(10**12, 0, int(free)))
    if enough:
        place.build()
        return
    with pytest.raises(BuildFailed, match="9 GB are needed below") as caught:
        place.build()
    assert len(str(caught.value).splitlines()) == 2
    assert place.engine.built == []


def test_room_for_a_stack_is_counted_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("images/cuda/1.0/image.toml", STACK + "[limits]\nsize_gb = 1.5\n")
    usage = shutil.disk_usage(place.root)
    # 2 for plain, 1.5 for the stack, 0.5 each for the two above it
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type(usage)(10**12, 0, int(ALL * 4.5 / 6 + 1)))
    place.build()


SIZES = {"base/trixie": 0, "cuda/1.0": 4, "torchy": 10, "tensory": 7, "plain": 1}
PLAIN = Factors(filled=1, compressed=0.5, unpacked=1, cached=0, tar=0, tools_gb=0)


def peak(place: Place, *names: str, built: Iterable[str] = (), pack: bool = True, **factors: float) -> float:
    """The peak of a stack of 4 GB, frameworks of 10 and 7 GB on it, and one of 1 GB on the base."""
    order = [dataclasses.replace(one, size_gb=SIZES[one.name]) for one in place.catalog.order(names)]
    there = dict.fromkeys(built, BUILT)
    return peak_gb(order, there, pack=pack, factors=dataclasses.replace(PLAIN, **factors))


def test_the_peak_of_what_is_packed_is_what_is_in_hand(place: Place) -> None:
    assert peak(place, "torchy") == 10 * 0.5 + 10
    # The two frameworks side by side on one stack, which is there once.
    assert peak(place, "torchy", "tensory") == (10 + 3) * 0.5 + (10 + 3)
    # The smallest comes last, when the largest is packed.
    assert peak(place) == max((10 + 3) * 0.5 + (10 + 3), (10 + 3 + 1) * 0.5 + 7 + 1)
    assert peak(place, pack=False) == (10 + 3 + 1) * 1.5


def test_what_is_built_already_is_only_unpacked(place: Place) -> None:
    assert peak(place, "torchy", built=["base/trixie", "cuda/1.0"]) == 6 * 0.5 + 10
    assert peak(place, "torchy", built=["base/trixie", "cuda/1.0", "torchy"]) == 0


@pytest.mark.parametrize("factor", [one.name for one in dataclasses.fields(Factors)])
def test_each_factor_counts(place: Place, factor: str) -> None:
    tools = dataclasses.replace(place.catalog.get("torchy"), size_gb=10, build_tools=place.catalog.get("base/trixie"))
    below = [dataclasses.replace(place.catalog.get(name), size_gb=1) for name in ("base/trixie", "cuda/1.0")]
    order = [*below, tools]
    more = dataclasses.replace(FACTORS, **{factor: getattr(FACTORS, factor) * 2})
    assert peak_gb(order, {}, pack=True, factors=more) > peak_gb(order, {}, pack=True)


def test_all_images_of_this_repository_fit_into_45_gb() -> None:
    assert peak_gb(catalog.load(ROOT).order([]), {}, pack=True) < 45


def test_room_is_needed_for_what_is_not_there_yet(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.build()
    usage = shutil.disk_usage(place.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type(usage)(1, 1, 0))
    place.build()
    monkeypatch.setattr(place.engine, "data_root", lambda: Path("/no/such/folder"))  # an engine elsewhere
    place.write("build/images.json", '{"schema": 1, "images": {}}')
    place.build()
