"""What of an image is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.catalog import read_images, write_images
from assay.errors import RegistryFailed
from tests.fake_registry import Answer, FakeRegistry
from tests.published import Image, name
from tests.unit.publish.known import ATTACHED, HOME, LocalEngine, go, images_of


def test_only_what_is_missing_is_handed_over(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    first, second = (one.digest for one in made.manifest.image().layers)
    fake.blobs[HOME, first] = made.blobs[first]
    engine = LocalEngine(made)
    go(checkout, fake, made, engine)
    assert first not in engine.handed_over
    assert second in engine.handed_over


def test_a_layer_that_another_image_has_is_mounted(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    first = made.manifest.image().layers[0].digest
    other = next(one.name for one in images_of(checkout).frameworks() if one.name != name())
    built = read_images(checkout).images
    write_images(checkout, {**built, other: built[name()]})
    fake.blobs[f"team/{other}", first] = made.blobs[first]
    engine = LocalEngine(made)
    go(checkout, fake, made, engine)
    assert first not in engine.handed_over
    assert fake.blobs[HOME, first] == made.blobs[first]


@pytest.mark.parametrize(
    ("method", "pattern"), [("PATCH", "/uploads/"), ("PUT", "/manifests/sha256:"), ("POST", "/uploads/")]
)
def test_what_breaks_off_leaves_no_tag_and_goes_on(
    checkout: Path, fake: FakeRegistry, made: Image, method: str, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.registry.connection.time.sleep", lambda seconds: None)
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda seconds: None)
    fake.always(method, pattern, Answer(500))
    with pytest.raises(RegistryFailed):
        go(checkout, fake, made)
    assert fake.tag(HOME, "latest") is None
    fake.hook = lambda method, path: None
    assert go(checkout, fake, made).attached == ATTACHED
    assert fake.tag(HOME, "latest") == made.digest
