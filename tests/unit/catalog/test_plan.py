from __future__ import annotations

import json
import shutil

import msgspec
import pytest

from assay import catalog
from assay.certificate import Suite
from assay.certificate.report import Plan
from assay.errors import UsageError
from tests.conftest import ROOT
from tests.unit.place import Place


def test_what_is_built_is_among_the_packages(place: Place) -> None:
    toml = place.root / "images/torchy/image.toml"
    toml.write_text(toml.read_text() + '[built]\nPy_Torch = "1.0+git1"\n')
    image = place.catalog.get("torchy")
    assert catalog.packages(image) == {
        "cuda-lib": "1.0",
        "torch": "2.0",
        "py-torch": "1.0+git1",
        "assay-environment": "1",
    }
    assert catalog.plan(image)["packages"] == catalog.packages(image)


def test_what_is_put_beside_and_what_may_be_said_reach_the_plan(place: Place) -> None:
    toml = place.root / "images/torchy/image.toml"
    (place.root / "images/common/beside/ours").mkdir(parents=True)
    more = "[beside]\nours = '2'\n[as_found]\nstderr = ['a .*']\n[uncalled]\n'libx.so.1' = 'nothing asks it'\n"
    assert not {"stderr", "uncalled"} & catalog.plan(place.catalog.get("torchy")).keys()
    toml.write_text(toml.read_text() + more)
    plan = catalog.plan(place.catalog.get("torchy"))
    assert (plan["stderr"], plan["uncalled"]) == (["a .*"], {"libx.so.1": "nothing asks it"})
    assert catalog.packages(place.catalog.get("torchy"))["ours"] == "2"


def test_a_catalog_that_is_loaded_promises_without_reading_a_file_again(place: Place) -> None:
    image = place.catalog.get("torchy")
    before = catalog.plan(image), catalog.labels(image), catalog.framework_version(image)
    shutil.rmtree(place.root)
    assert (catalog.plan(image), catalog.labels(image), catalog.framework_version(image)) == before
    assert before[2] == "2.0"
    assert json.loads(catalog.plan_text(image)) == before[0]


def test_nothing_is_promised_of_locks_that_were_not_read(place: Place) -> None:
    image = catalog.load(place.root, locked=False).get("torchy")
    for promise in (catalog.plan, catalog.labels, catalog.packages, catalog.framework_version):
        with pytest.raises(UsageError, match=r"the lock of torchy was not read\nRun `assay lock torchy`\."):
            promise(image)


def test_the_judge_reads_the_plan_of_every_image_of_this_repository() -> None:
    suite = Suite.read(ROOT)
    for image in catalog.load(ROOT).frameworks():
        for device in ("cpu", "gpu"):
            plan = msgspec.convert(catalog.plan(image, device), type=Plan)
            expansion = suite.expansion(plan)
            assert expansion is not None, image.name
            assert {"static.packages", "static.closure"} <= {one.id for one in expansion.results()}, image.name
