"""The stage `environment`: built by itself, with its tools, and kept for its inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assay import catalog, rootfs
from assay.build import Options
from assay.errors import UsageError
from tests.unit.place import (
    STAGED,
    Place,
    targets,
)


def test_an_environment_is_built_by_itself_and_the_image_from_it(staged: Place) -> None:
    first, second = [request for request in staged.engine.requests if "torchy" in request.tag]
    assert (first.target, second.target) == ("environment", None)
    assert first.dockerfile == staged.root / "images/torchy/Dockerfile"
    assert second.dockerfile == staged.root / "images/Dockerfile", "which has the last stage of all frameworks"
    assert second.contexts["environment"] == f"docker-image://{first.tag}"
    assert "PLAN" in second.args
    assert "PLAN" not in first.args
    assert first.labels == {}


def test_a_changed_suite_leaves_the_environment(staged: Place) -> None:
    (staged.root / "smoke/more.py").write_text("")
    staged.build()
    assert targets(staged) == [None]


def test_a_changed_lock_or_installer_does_not(staged: Place) -> None:
    for name in ("images/common/install/lock.sh", "images/common/install/byte_compile.py", "images/torchy/extra"):
        (staged.root / name).write_text("# changed")
        staged.build()
        assert targets(staged) == ["environment", None], name
    environments = [name for name in staged.engine.names if ":environment-" in name]
    assert len(environments) == 1, "older ones are let go of"


def test_a_changed_last_stage_is_an_input_of_what_is_put_on_an_environment(staged: Place) -> None:
    place = staged.root / "images/Dockerfile"
    place.write_text(place.read_text() + "\nLABEL changed=1\n")
    staged.build()
    assert targets(staged) == [None]
    torchy = staged.catalog.get("torchy")
    assert "images/Dockerfile" in catalog.inputs(staged.catalog, torchy)


def test_a_dockerfile_that_goes_on_after_its_environment_is_refused(staged: Place) -> None:
    (staged.root / "images/torchy/Dockerfile").write_text(STAGED + "FROM environment\nRUN more\n")
    with pytest.raises(UsageError, match="images/torchy/Dockerfile goes on after its stage `environment`"):
        staged.build()


def test_without_the_cache_the_environment_is_built_anew(staged: Place) -> None:
    staged.build(options=Options(no_cache=True, suffix="-trial"))
    assert targets(staged) == ["environment", None]


def test_what_is_put_beside_comes_with_the_suite_and_builds_no_environment_anew(staged: Place) -> None:
    staged.write("images/common/beside/ours/module.py", "")
    toml = staged.root / "images/torchy/image.toml"
    toml.write_text(toml.read_text() + "[beside]\nours = '2'\n")
    staged.build()
    staged.write("images/common/beside/ours/module.py", "# changed")
    staged.build()
    assert targets(staged)[-1:] == [None]
    assert targets(staged).count("environment") <= 1


def test_what_installs_built_wheels_is_an_input_of_those_who_build_any(staged: Place) -> None:
    staged.write("images/common/install/wheels.sh", "#!/bin/sh")
    staged.build()
    assert targets(staged) == [None], "it is among the common files, as each of them is"
    toml = staged.root / "images/torchy/image.toml"
    toml.write_text(toml.read_text() + '[built]\ntorchy = "1.0"\n')
    staged.build()
    staged.write("images/common/install/wheels.sh", "# changed")
    staged.build()
    assert targets(staged) == ["environment", None]


def test_tools_go_into_the_environments_build_and_nowhere_else(with_tools: Place) -> None:
    assert sorted(with_tools.view.told("done")) == ["base/trixie", "cuda/1.0", "plain", "tensory", "torchy"]
    told = {request.target: request.contexts for request in with_tools.engine.requests if "torchy" in request.tag}
    folder, _, digest = told["environment"]["tools"].removeprefix("oci-layout://").partition("@")
    assert digest.startswith("sha256:")
    assert not Path(folder).exists(), "the layout is there for the build only"
    assert "tools" not in told[None]
    others = [request for request in with_tools.engine.requests if "torchy" not in request.tag]
    assert others
    assert all("tools" not in request.contexts for request in others)


def test_tools_are_not_asked_for_while_the_environment_is_there(
    with_tools: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(image: catalog.Image, *_: object, **__: object) -> rootfs.Rootfs:
        raise AssertionError(f"{image.name} is made")

    monkeypatch.setattr(rootfs, "rootfs", never)
    (with_tools.root / "smoke/more.py").write_text("")
    with_tools.build("torchy")
    assert targets(with_tools) == [None]


def test_other_tools_another_environment(with_tools: Place) -> None:
    path = with_tools.root / "images/tools/torchy/packages.lock"
    path.write_text(path.read_text().replace("g++=1", "g++=2"))
    with_tools.build()
    assert targets(with_tools) == ["environment", None]
    assert with_tools.view.told("start") == ["torchy"]


def test_a_trial_makes_the_tools_anew(with_tools: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, bool] = {}
    real = rootfs.rootfs

    def kept(image: catalog.Image, on_step: Callable[[str], None], how: rootfs.How) -> rootfs.Rootfs:
        asked[image.name] = how.fresh
        return real(image, on_step, how)

    monkeypatch.setattr(rootfs, "rootfs", kept)
    with_tools.build("torchy", options=Options(no_cache=True, suffix="-trial"))
    assert asked == {"base/trixie": True, "tools/torchy": True}


def test_tools_are_no_image_to_build(with_tools: Place) -> None:
    with pytest.raises(UsageError, match="tools/torchy are build tools, and no image is made of them"):
        with_tools.build("tools/torchy")
