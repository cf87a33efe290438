"""Build caches in a registry: for `build` alone, and said of what was built with one."""

from __future__ import annotations

import pytest

from assay import reproduce
from assay.build import Options
from assay.errors import UsageError
from tests.unit.place import Place, targets

CACHE = "r.example/cache"


def test_each_build_has_a_cache_of_its_own(staged: Place) -> None:
    staged.write("images/torchy/requirements.in", "torch==2.0\n# changed")
    lock = staged.root / "images/torchy/requirements.lock"
    lock.write_text(lock.read_text() + "#")
    staged.build("torchy", options=Options(cache_from=CACHE, cache_to=f"{CACHE}/mine"))
    assert targets(staged) == ["environment", None]
    assert [request.cache_from for request in staged.engine.requests] == [
        f"{CACHE}/torchy:cache-environment",
        f"{CACHE}/torchy:cache-image",
    ]
    assert [request.cache_to for request in staged.engine.requests] == [
        f"{CACHE}/mine/torchy:cache-environment",
        f"{CACHE}/mine/torchy:cache-image",
    ]
    assert staged.known()["torchy"].cache == CACHE


def test_to_leave_steps_is_not_to_take_any(place: Place) -> None:
    place.build("plain", options=Options(cache_to=CACHE))
    assert {one.cache for one in place.known().values()} == {""}


def test_what_once_had_a_cache_says_so_until_it_is_built_without_any(place: Place) -> None:
    place.build("plain", options=Options(cache_from=CACHE))
    place.write("images/plain/requirements.lock", (place.root / "images/plain/requirements.lock").read_text() + "#")
    place.build("plain")
    assert place.engine.built == ["plain"]
    assert place.known()["plain"].cache == CACHE
    place.write("images/plain/requirements.lock", (place.root / "images/plain/requirements.lock").read_text() + "#")
    place.build("plain", options=Options(no_cache=True))
    assert place.known()["plain"].cache == ""


def test_what_is_built_to_be_compared_has_none(place: Place) -> None:
    place.build("plain", options=Options(cache_from=CACHE))
    place.engine.requests = []
    rows = reproduce.reproduce(place.catalog, place.engine, ["plain"], place.view)  # type: ignore[arg-type]
    assert {(request.no_cache, request.cache_from) for request in place.engine.requests} == {(True, None)}
    assert [reproduce.row(one)["cache"] for one in rows] == [CACHE, CACHE]


@pytest.mark.parametrize("which", ["cache_from", "cache_to"])
def test_without_any_cache_there_is_none_of_a_registry(which: str) -> None:
    with pytest.raises(UsageError, match="a build without any cache has no registry's either"):
        Options(no_cache=True, **{which: CACHE})  # type: ignore[arg-type]


def test_a_cache_has_to_be_in_a_registry(place: Place) -> None:
    with pytest.raises(UsageError, match="no reference"):
        place.build("plain", options=Options(cache_from="nowhere,mode=max"))
