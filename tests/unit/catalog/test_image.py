from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from assay import catalog
from assay.errors import UsageError
from tests.unit.catalog.refusals import TEXTS


def names(images: tuple[catalog.Image, ...]) -> list[str]:
    return [image.name for image in images]


def test_selection_and_order(root: Path) -> None:
    images = catalog.load(root)
    assert names(images.select([])) == names(images.frameworks()) == ["plain", "tensory", "torchy"]
    assert names(images.select(["cuda/1.0", "torchy", "cuda/1.0"])) == ["cuda/1.0", "torchy"]
    assert names(images.order(["torchy"])) == ["base/trixie", "cuda/1.0", "torchy"]
    assert names(images.order(["cuda/1.0"])) == ["base/trixie", "cuda/1.0"]
    assert sorted(names(images.order([]))) == sorted(images.images)
    assert names(images.ancestors(images.get("torchy"))) == ["cuda/1.0", "base/trixie"]


def test_an_unknown_name_is_answered_with_the_nearest(root: Path) -> None:
    images = catalog.load(root)
    with pytest.raises(UsageError, match=r"no image is named 'torchi'\nDid you mean torchy\?"):
        images.order(["torchi"])
    with pytest.raises(UsageError, match=r"There are base/trixie, cuda/1\.0, plain, tensory, torchy"):
        images.get("zzzzzz")


@given(TEXTS)
def test_any_name(name: str) -> None:
    with pytest.raises(UsageError):
        catalog.Catalog(Path(), {}).get(name)
