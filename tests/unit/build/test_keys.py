from __future__ import annotations

import pytest

from assay import catalog
from assay.build import keys
from assay.catalog.inputs import SOURCE_INSTALLER
from tests.unit.place import (
    Place,
    change,
    key,
)

INPUTS = [
    "images/Dockerfile",
    "images/torchy/requirements.lock",
    "images/common/bin/entrypoint",
    "images/common/new",
    "images/torchy/patch.diff",
    "smoke/runner/run.py",
    "smoke/checks/new.py",
    "smoke/README.md",
    "smoke/report/compare.py",  # no certificate depends on it, and yet it is in the image
    "smoke/frameworks/torch.py",
    "smoke/frameworks/torch.c",
    "smoke/frameworks/torch_capi.c",
    "smoke/frameworks/_shared/devices.py",
]


NO_INPUTS = [
    "README.md",
    "images/README.md",
    "images/torchy/README.md",
    "images/torchy/requirements.in",
    "images/torchy/__pycache__/x.pyc",
    "images/common/__pycache__/x.pyc",
    "smoke/__pycache__/run.pyc",
    "smoke/frameworks/tensor.py",
    "smoke/frameworks/tensor_capi.c",
    "smoke/frameworks/torch_lightning.py",  # another framework, whatever its name begins with
    "images/tensory/patch.diff",
    "images/tensory/requirements.lock",
    "images/cuda/Dockerfile",  # seen through the parent's digest
    "build/images.json",
    "assay/build/keys.py",
]


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_changes_the_key(place: Place, name: str) -> None:
    before = key(place)
    change(place, name)
    assert key(place) != before


@pytest.mark.parametrize("name", NO_INPUTS)
def test_what_is_no_input_does_not(place: Place, name: str) -> None:
    before = key(place)
    change(place, name)
    assert key(place) == before


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('summary = "A framework"', 'summary = "Another"', False),
        ("[limits]", '[labels]\nextra = "1"\n[limits]', False),
        ('workloads = ["digits"]', 'workloads = ["digits", "sequence"]', False),
        ('module = "torch"', 'module = "torch.x"', False),
        ("size_gb = 2", "size_gb = 3", True),
        ("[framework]", '\nnotes = ["x"]\n[framework]', True),
        ("[image]", "# a remark\n[image]", True),
    ],
)
def test_of_image_toml_what_ends_up_in_the_image(place: Place, old: str, new: str, same: bool) -> None:
    before = key(place)
    text = (place.root / "images/torchy/image.toml").read_text()
    assert old in text
    place.write("images/torchy/image.toml", text.replace(old, new))
    assert (key(place) == before) == same


def test_what_comes_as_source_is_an_input_and_so_is_what_builds_it(place: Place) -> None:
    def environment() -> str:
        return keys.environment_tag(place.catalog, place.catalog.get("torchy"), "sha256:1", "")

    place.write(f"images/common/install/{SOURCE_INSTALLER}", "")
    lock = (place.root / "images/torchy/requirements.lock").read_text()
    tools = "".join(f"{name}==1.0 --hash=sha256:{'a' * 64}\n" for name in catalog.SDIST_BUILDERS)
    place.write("images/torchy/requirements.lock", lock + tools)
    names = [environment(), key(place)]
    toml = (place.root / "images/torchy/image.toml").read_text()
    place.write("images/torchy/image.toml", toml + "[sources]\ntorch = []\n")
    names += [environment(), key(place)]
    change(place, "images/common/install/sources.sh")
    names += [environment(), key(place)]
    assert len(set(names)) == 6
    place.build("torchy")
    assert [request.args.get("SOURCES") for request in place.engine.requests][-1] == "torch"


def test_the_parents_digest_the_uv_and_the_recipe(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {key(place), key(place, parent="sha256:2"), key(place, "tensory")}
    monkeypatch.setattr(keys, "version", lambda name: "0.0.1")
    seen.add(key(place))
    monkeypatch.setattr(keys, "RECIPE", 99)
    seen.add(key(place))
    assert len(seen) == 5


def test_a_stack_has_no_suite_in_it(place: Place) -> None:
    before = key(place, "cuda/1.0"), key(place, "base/trixie")
    change(place, "smoke/runner/run.py")
    assert (key(place, "cuda/1.0"), key(place, "base/trixie")) == before


def test_a_file_that_moved_is_another_input(place: Place) -> None:
    change(place, "images/common/new")
    before = key(place)
    (place.root / "images/common/new").rename(place.root / "images/common/other")
    assert key(place) != before
