"""What a published image's provenance says of the build caches that it had."""

from __future__ import annotations

from typing import Any

import pytest

from assay.cli.publish import show_verdict
from assay.verify import row
from tests.fake_registry import FakeRegistry
from tests.published import image, put
from tests.unit.verify.known import ask

CACHES = ["r.example/a", "r.example/b"]


@pytest.mark.parametrize(
    ("caches", "shown"), [(CACHES, CACHES), (None, []), ("r.example/a", []), ([7], []), (["x" * 300], [])]
)
def test_the_caches_are_said_and_the_image_holds(
    fake: FakeRegistry, caches: Any, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = image()
    statements = made.statements()
    if caches is not None:
        (provenance,) = [one for one in statements if "buildDefinition" in one["predicate"]]
        provenance["predicate"]["buildDefinition"]["internalParameters"]["caches"] = caches
    put(fake.host, made, *statements)
    found = ask(fake)
    assert found.passed, found.problems
    assert row(found)["caches"] == shown
    show_verdict(found)
    assert ("built with the build cache r.example/a, r.example/b" in capsys.readouterr().out) == bool(shown)
