"""The one list of inputs: what changes a certificate's changes the keys, and the other way round."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assay import build, catalog
from assay.catalog.inputs import SUITE_LAYERS, has_environment, last_dockerfile
from assay.errors import UsageError
from tests.conftest import ROOT
from tests.unit.place import Place, change


def inputs(place: Place) -> dict[str, str]:
    return catalog.inputs(place.catalog, place.catalog.get("torchy"))


def keys(place: Place) -> list[str]:
    """The keys of the image and of all that it stands on."""
    return [build.input_key(place.catalog, image, "sha256:1") for image in place.catalog.order(["torchy"])]


def test_stages_are_told_apart_however_a_from_is_written(staged: Place) -> None:
    torchy = staged.catalog.get("torchy")
    for text in (
        "FROM --platform=linux/amd64 x AS environment\n",
        "from x as environment\n",
        "FROM x\tAS environment\n",
    ):
        torchy.dockerfile.write_text(text)
        assert has_environment(torchy), text
        assert last_dockerfile(staged.catalog, torchy) == staged.root / "images/Dockerfile"
        torchy.dockerfile.write_text(text + "FROM --platform=linux/amd64 environment\n")
        with pytest.raises(UsageError, match="goes on after its stage"):
            last_dockerfile(staged.catalog, torchy)


def test_tools_are_among_the_locked_inputs(with_tools: Place) -> None:
    assert [name for name in inputs(with_tools) if "tools" in name] == [
        "images/tools/torchy/image.toml",
        "images/tools/torchy/packages.lock",
    ]


def test_what_a_build_does_with_the_locks_is_among_the_inputs(staged: Place) -> None:
    before = inputs(staged)
    staged.write("images/torchy/make_wheel.py", "#!/usr/bin/python3")
    staged.write("images/common/install/lock.sh", "#!/bin/sh\n# another")
    staged.write("images/torchy/README.md", "What it is.")
    after = inputs(staged)
    assert after.keys() - before.keys() == {"images/torchy/make_wheel.py"}
    assert {name for name in before if after[name] != before[name]} == {"images/common/install/lock.sh"}


def test_a_variant_s_files_are_its_own(staged: Place) -> None:
    """They lie in the folder of the image that they are a variant of, and that image does not change with them."""
    before = inputs(staged), keys(staged)
    for name in ("image.toml", "requirements.in", "requirements.lock"):
        staged.write(f"images/torchy/old/{name}", (staged.root / "images/torchy" / name).read_text())
    assert (inputs(staged), keys(staged)) == before
    of_variant = catalog.inputs(staged.catalog, staged.catalog.get("torchy/old"))
    assert {"images/torchy/old/image.toml", "images/torchy/old/requirements.lock"} <= of_variant.keys()
    assert not {name for name in of_variant if name.startswith("images/torchy/") and "/old/" not in name} - {
        "images/torchy/Dockerfile"
    }


def test_a_certificate_and_the_keys_have_the_same_inputs_but_for_image_toml(with_tools: Place) -> None:
    with_tools.write("images/torchy/make_wheel.py", "#!/usr/bin/python3")
    top = with_tools.root / "images"
    folders = {top, *(path.parent for path in top.rglob("*") if path.is_file())}
    files = {path for path in top.rglob("*") if path.is_file()} | {folder / "new" for folder in folders}
    decisive: set[Path] = set()
    after = inputs(with_tools), keys(with_tools)
    for path in sorted(files):
        before = after
        change(with_tools, path.relative_to(with_tools.root).as_posix())
        after = inputs(with_tools), keys(with_tools)
        of_certificate, of_keys = after[0] != before[0], after[1] != before[1]
        if path.name == "image.toml":
            assert not of_keys, path
        else:
            assert of_certificate == of_keys, path
        if of_certificate:
            decisive.add(path)
    assert {path.relative_to(top).as_posix() for path in decisive} == {
        *("Dockerfile", "base/Dockerfile", "cuda/Dockerfile", "torchy/Dockerfile"),
        *("base/trixie/image.toml", "cuda/1.0/image.toml", "torchy/image.toml", "tools/torchy/image.toml"),
        *("base/trixie/packages.lock", "tools/torchy/packages.lock"),
        *("cuda/1.0/requirements.lock", "cuda/1.0/new", "torchy/requirements.lock", "torchy/new"),
        *(
            "torchy/make_wheel.py",
            *("common/bin/entrypoint", "common/bin/new", "common/install/new", "common/install/env.sh"),
            "common/install/lock.sh",
            "common/install/byte_compile.py",
            "common/install/split_lock.py",
            "common/beside/assay-environment/assay_environment/new",
            "common/beside/assay-environment/assay_environment/__init__.py",
        ),
    }


def test_the_layers_of_the_last_stage_are_counted() -> None:
    """A comparison names those below them, so that it outlives a change of the suite."""
    last = (ROOT / "images/Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert len(re.findall(r"^(?:RUN|COPY|ADD|WORKDIR) ", last, re.MULTILINE)) == SUITE_LAYERS
