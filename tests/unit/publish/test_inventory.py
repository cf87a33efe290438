"""What an image says is in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.engine import RunResult
from assay.errors import VerificationFailed
from assay.publish.inventory import LARGEST
from tests.fake_registry import FakeRegistry
from tests.published import Image
from tests.unit.publish.known import ATTACHED, HOME, LocalEngine, go


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (lambda path: os.truncate(path, 0), "left no inventory.json"),
        (lambda path: os.truncate(path, LARGEST + 1), "larger than 16 MiB"),
        (lambda path: path.write_bytes(b"{"), "says is in it is malformed"),
        (lambda path: path.write_bytes(b"[" * 10**6), "says is in it is malformed"),
    ],
)
def test_an_inventory_that_is_none_is_not_kept(
    checkout: Path, fake: FakeRegistry, made: Image, does: Callable[[Path], object], said: str
) -> None:
    engine = LocalEngine(made)
    engine.on_run = does
    with pytest.raises(VerificationFailed, match=said):
        go(checkout, fake, made, engine)
    assert fake.tag(HOME, "latest") is None
    assert list((checkout / "build").glob("inventories/*")) == []
    engine.on_run = lambda path: None
    assert go(checkout, fake, made, engine).attached == ATTACHED
    (kept,) = (checkout / "build/inventories").iterdir()
    assert kept.name == f"{made.digest.removeprefix('sha256:')}.json"


def test_an_image_that_cannot_say_what_is_in_it(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    engine = LocalEngine(made)
    engine.ended = RunResult(1, False, False, "Traceback\nno dpkg here\n", 1.0)
    with pytest.raises(VerificationFailed, match="cannot say what is in it: no dpkg here"):
        go(checkout, fake, made, engine)
