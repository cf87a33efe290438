from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from assay import catalog, planning
from assay.certificate import Suite
from assay.certificate.report import Plan
from assay.errors import UsageError
from tests.unit.place import (
    Place,
)


def test_stages_are_told_apart_however_a_from_is_written(staged: Place) -> None:
    torchy = staged.catalog.get("torchy")
    for text in (
        "FROM --platform=linux/amd64 x AS environment\n",
        "from x as environment\n",
        "FROM x\tAS environment\n",
    ):
        torchy.dockerfile.write_text(text)
        assert planning.has_environment(torchy), text
        assert planning.last_dockerfile(staged.catalog, torchy) == staged.root / "images/Dockerfile"
        torchy.dockerfile.write_text(text + "FROM --platform=linux/amd64 environment\n")
        with pytest.raises(UsageError, match="goes on after its stage"):
            planning.last_dockerfile(staged.catalog, torchy)


def test_tools_are_among_the_locked_inputs(with_tools: Place) -> None:
    inputs = planning.inputs(with_tools.catalog, with_tools.catalog.get("torchy"))
    assert [name for name in inputs if "tools" in name] == [
        "images/tools/torchy/image.toml",
        "images/tools/torchy/packages.lock",
    ]


def test_what_a_build_does_with_the_locks_is_among_the_inputs(staged: Place) -> None:
    before = planning.inputs(staged.catalog, staged.catalog.get("torchy"))
    staged.write("images/torchy/make-wheel", "#!/usr/bin/python3")
    staged.write("images/common/install-lock", "#!/bin/sh\n# another")
    staged.write("images/torchy/README.md", "What it is.")
    inputs = planning.inputs(staged.catalog, staged.catalog.get("torchy"))
    assert inputs.keys() - before.keys() == {"images/torchy/make-wheel"}
    assert {name for name in before if inputs[name] != before[name]} == {"images/common/install-lock"}


def test_what_is_built_is_among_the_packages(place: Place) -> None:
    toml = place.root / "images/torchy/image.toml"
    toml.write_text(toml.read_text() + '[built]\nPy_Torch = "1.0+git1"\n')
    image = place.catalog.get("torchy")
    assert planning.packages(image) == {"cuda-lib": "1.0", "torch": "2.0", "py-torch": "1.0+git1"}
    assert planning.plan(image)["packages"] == planning.packages(image)


def test_what_is_put_beside_and_what_may_be_said_reach_the_plan(place: Place) -> None:
    toml = place.root / "images/torchy/image.toml"
    (place.root / "images/common/beside/ours").mkdir(parents=True)
    more = "[beside]\nours = '2'\n[as_found]\nstderr = ['a .*']\n[uncalled]\n'libx.so.1' = 'nothing asks it'\n"
    assert not {"stderr", "uncalled"} & planning.plan(place.catalog.get("torchy")).keys()
    toml.write_text(toml.read_text() + more)
    plan = planning.plan(place.catalog.get("torchy"))
    assert (plan["stderr"], plan["uncalled"]) == (["a .*"], {"libx.so.1": "nothing asks it"})
    assert planning.packages(place.catalog.get("torchy"))["ours"] == "2"


def test_the_judge_reads_the_plan_of_every_image_of_this_repository(root: Path) -> None:
    suite = Suite.read(root)
    for image in catalog.load(root).frameworks():
        for device in ("cpu", "gpu"):
            plan = msgspec.convert(planning.plan(image, device), type=Plan)
            expansion = suite.expansion(plan)
            assert expansion is not None, image.name
            assert {"static.packages", "static.closure"} <= {one.id for one in expansion.results()}, image.name
