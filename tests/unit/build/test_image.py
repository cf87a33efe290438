from __future__ import annotations

import json

import pytest

from assay.build import Options
from assay.catalog.built import short, tag
from assay.engine import ImageFacts
from assay.errors import BuildFailed
from tests.unit.place import ORDER, Place


def test_what_a_build_is_told(place: Place) -> None:
    place.build()
    requests = dict(zip(place.engine.built, place.engine.requests, strict=True))
    parent = place.known()["cuda/1.0"].digest
    torchy = requests["torchy"]
    assert torchy.args["PARENT"] == tag("cuda/1.0", short(parent))
    assert json.loads(torchy.args["PLAN"])["image"] == "torchy"
    assert torchy.labels["assay.cuda"] == "1.0"
    assert torchy.labels["org.opencontainers.image.version"] == "2.0"
    assert set(torchy.contexts) == {"common", "smoke", "uv"}
    assert (torchy.context, torchy.dockerfile) == (place.root / "images/torchy", place.root / "images/Dockerfile")
    assert "PARENT" not in requests["base/trixie"].args
    assert {request.args["SOURCE_DATE_EPOCH"] for request in requests.values()} == {"1767225600"}
    assert (place.root / "build/logs/torchy.log").read_text() == "a line\n# [1/1] RUN\n"
    assert (place.root / "build/logs/cuda-1.0.log").is_file()


def test_an_image_that_is_gone_or_another_after_its_build(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.engine, "image", lambda reference: None)
    with pytest.raises(BuildFailed, match="and then it was gone"):
        place.build("plain")
    other = ImageFacts("sha256:other", "", (), (), {}, {}, "", 0)
    monkeypatch.setattr(place.engine, "image", lambda reference: other)
    with pytest.raises(BuildFailed, match="is sha256:other, but sha256:"):
        place.build("plain")


def test_nothing_is_packed_unless_that_is_asked_for(place: Place) -> None:
    place.build()
    assert place.engine.packed == []


def test_packed_is_what_nothing_is_to_be_built_on_any_more(place: Place) -> None:
    place.build(options=Options(pack=True))
    packed = list(dict.fromkeys(name.rpartition(":")[0] for name in place.engine.packed))
    assert set(packed) == {f"assay/{name}" for name in ORDER}
    for upper, lower in (("tensory", "cuda/1.0"), ("torchy", "cuda/1.0"), ("cuda/1.0", "base/trixie")):
        assert packed.index(f"assay/{upper}") < packed.index(f"assay/{lower}")
    assert set(place.engine.packed) == {name for one in ORDER for name in place.engine.tags(f"assay/{one}")}
    # Between the two frameworks on it, packing the first must not take the stack along.
    assert "assay/cuda/1.0:latest" in place.engine.held


def test_a_stack_of_which_a_part_is_built_already_is_packed_with_the_last(place: Place) -> None:
    place.build("tensory", "plain")
    place.build(options=Options(pack=True))
    assert {name.rpartition(":")[0] for name in place.engine.packed} == {
        "assay/torchy",
        "assay/cuda/1.0",
        "assay/base/trixie",
    }


def test_what_is_there_already_is_left_as_it_is(place: Place) -> None:
    place.build()
    place.build(options=Options(pack=True))
    assert place.engine.packed == []
