"""By what name other tools find an image that is here."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from assay import engine, run
from assay.doctor import Answer, Certified
from assay.engine import Session
from assay.engine.sessions import Sessions
from assay.run import Choice

SESSION = Session("run", "sha256:0", ("python",), Path("/src"), Path("/home"), "1:1", 1)


class Engine(Sessions):
    """One that has one image, by these names."""

    kind = "system"

    def __init__(self, *names: str) -> None:
        self.names = names

    def digest(self, reference: str) -> str | None:
        return "sha256:0" if reference in self.names else "sha256:1" if reference == "assay/moved:latest" else None

    def gpu_access(self) -> str | None:
        return None


@pytest.mark.parametrize(
    ("image", "reference", "names", "name"),
    [
        ("one", "assay/one", ("assay/one", "assay/one:latest"), "assay/one"),
        ("one", "one", ("assay/one:latest",), "assay/one:latest"),  # ours, without a certificate
        ("one", "REGISTRY/one@sha256:0", ("assay/one:latest",), "assay/one:latest"),
        ("mine:2", "mine:2", ("mine:2",), "mine:2"),
        ("moved", "assay/moved", (), "sha256:0"),  # the tag is another image's by now
    ],
)
def test_an_image_by_its_tag(image: str, reference: str, names: tuple[str, ...], name: str) -> None:
    choice = Choice(Certified(image=image, digest="sha256:0", reference=reference), Answer("cpu", ""), "")
    made = run.recipe_here(choice, SESSION, cast("engine.Engine", Engine(*names)))
    assert (made.image, made.home) == (name, Path("/home"))
