from __future__ import annotations

import json

import pytest

from assay.build import Options
from assay.catalog.built import short, tag
from assay.engine import ImageFacts
from assay.errors import BuildFailed
from tests.unit.place import (
    Place,
)


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


def test_packed_are_framework_images_and_only_when_asked_for(place: Place) -> None:
    place.build("plain")
    assert place.engine.packed == []
    place.build("torchy", options=Options(pack=True))
    assert {name.rpartition(":")[0] for name in place.engine.packed} == {"assay/torchy"}
    assert set(place.engine.packed) == set(place.engine.tags("assay/torchy"))
