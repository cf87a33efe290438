from __future__ import annotations

from typing import Any

import pytest

from assay import reproduce
from assay.errors import BuildFailed
from assay.reproduce import Sameness
from tests.unit.place import (
    Place,
    View,
    failing,
)


def test_reproducing(place: Place) -> None:
    rows = reproduce.reproduce(place.catalog, place.engine, ["torchy"], place.view)  # type: ignore[arg-type]
    assert [row.name for row in rows] == ["base/trixie", "cuda/1.0", "torchy"]
    reproduce.require_same(rows)
    again = place.engine.requests[3:]
    assert all(request.no_cache and request.tag.startswith("assay-trial/") for request in again)
    assert again[2].args["PARENT"].startswith("assay-trial/cuda/1.0:")
    assert not [name for name in place.engine.names if "trial" in name]
    assert list(place.known()) == ["base/trixie", "cuda/1.0", "torchy"]


def test_what_does_not_come_out_the_same(place: Place) -> None:
    place.build()

    def other(name: str) -> None:
        place.engine.content += 1

    place.engine.on_build = other
    before = place.known()
    rows = reproduce.reproduce(place.catalog, place.engine, ["plain"], View())  # type: ignore[arg-type]
    with pytest.raises(BuildFailed, match="base/trixie, plain: a second build gave other content"):
        reproduce.require_same(rows)
    assert place.known() == before


def test_what_was_only_compressed_differently_is_the_same(place: Place) -> None:
    place.build()

    def other(name: str) -> None:
        place.engine.compression = 19

    place.engine.on_build = other
    rows = reproduce.reproduce(place.catalog, place.engine, ["plain"], View())  # type: ignore[arg-type]
    assert [row.sameness for row in rows] == [Sameness.COMPRESSED_DIFFERENTLY] * 2
    assert [one["verdict"] for one in map(reproduce.row, rows)] == ["same; compressed differently"] * 2
    reproduce.require_same(rows)


def test_a_trial_that_fails_leaves_nothing(place: Place) -> None:
    place.build()
    place.engine.on_build = failing("plain")
    before: Any = place.known()
    with pytest.raises(BuildFailed, match="plain broke"):
        reproduce.reproduce(place.catalog, place.engine, ["plain"], View())  # type: ignore[arg-type]
    assert not [name for name in place.engine.names if "trial" in name]
    assert place.known() == before
