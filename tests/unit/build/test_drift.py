"""An image that is not as it was locked says so, and so does whatever stands on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay import catalog, publish, reproduce, rootfs
from assay.build import Options
from assay.catalog import Change, Drift
from assay.catalog.drift import drift_inputs, drift_of
from assay.errors import BuildFailed
from tests.unit.place import Place

DRIFT = Drift("b" * 64, (Change("libc6", "2.41-12", "2.41-13"), Change("bash", None, "5")))


@pytest.fixture
def drifting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Drift | None]:
    """What has drifted, by name; all else is exact."""
    drifted: dict[str, Drift | None] = {}

    def made(image: catalog.Image, on_step: object, how: rootfs.How) -> rootfs.Rootfs:
        drift = drifted.get(image.name)
        if drift and how.locked:
            raise BuildFailed(f"{image.name} cannot be made as it was locked", "Wait.")
        return rootfs.Rootfs(tmp_path / "tar", drift)

    monkeypatch.setattr(rootfs, "rootfs", made)
    return drifted


def lock_again(place: Place) -> None:
    """Change the locks of the base and of the build tools, so that all is built again."""
    for name in ("base/trixie", "tools/torchy"):
        path = place.root / "images" / name / "packages.lock"
        path.write_text(path.read_text().replace("\n", "\n# again\n", 1))


def drifts(place: Place) -> dict[str, list[str]]:
    return {name: list(built.drift) for name, built in place.known().items() if built.drift}


def test_what_stands_on_a_drifted_base_has_drifted(place: Place, drifting: dict[str, Drift | None]) -> None:
    drifting["base/trixie"] = DRIFT
    place.build()
    assert drifts(place) == {name: ["base/trixie"] for name in place.known()}
    assert place.known()["torchy"].drift["base/trixie"] == DRIFT
    place.build()
    assert place.engine.requests == [], "nothing is asked or built while nothing changes"


def test_drifted_tools_are_remembered_with_the_environment(
    with_tools: Place, drifting: dict[str, Drift | None]
) -> None:
    drifting["tools/torchy"] = DRIFT
    lock_again(with_tools)
    with_tools.build()
    assert drifts(with_tools) == {"torchy": ["tools/torchy"]}
    drifting.clear()  # nothing asks: the environment is there
    (with_tools.root / "smoke/more.py").write_text("")
    (with_tools.root / "build/images.json").unlink()
    with_tools.build()
    assert drifts(with_tools) == {"torchy": ["tools/torchy"]}


@pytest.mark.parametrize("options", [Options(refresh=True), Options(locked=True)])
@pytest.mark.parametrize("names", [["tools/torchy"], ["base/trixie", "tools/torchy"]])
def test_what_drifted_is_made_anew_where_that_is_asked(
    with_tools: Place, drifting: dict[str, Drift | None], options: Options, names: list[str]
) -> None:
    drifting |= dict.fromkeys(names, DRIFT)
    lock_again(with_tools)
    with_tools.build()
    assert drifts(with_tools)["torchy"] == names
    drifting.clear()
    with_tools.build(options=options)
    assert drifts(with_tools) == {}


def test_locked_refuses_what_has_drifted_before(place: Place, drifting: dict[str, Drift | None]) -> None:
    drifting["base/trixie"] = DRIFT
    place.build()
    with pytest.raises(BuildFailed, match="cannot be made as it was locked"):
        place.build(options=Options(locked=True))
    with pytest.raises(BuildFailed, match="cannot be made as it was locked"):
        reproduce.reproduce(place.catalog, place.engine, ["torchy"], place.view)  # type: ignore[arg-type]


def test_a_drifted_image_is_not_published(place: Place, drifting: dict[str, Drift | None]) -> None:
    drifting["base/trixie"] = DRIFT
    place.build()
    good, refused = publish.candidates(place.catalog, None, ["torchy"])  # type: ignore[arg-type]
    assert good == []
    assert "torchy has drifted and is not published: base/trixie: 2 packages have moved: libc6" in refused[0].why


def test_a_certificate_names_what_drifted_among_its_inputs(place: Place, drifting: dict[str, Drift | None]) -> None:
    drifting["base/trixie"] = DRIFT
    place.build()
    built, torchy = place.known()["torchy"], place.catalog.get("torchy")
    inputs = catalog.policy(place.catalog, torchy, built, None, "cpu").inputs  # type: ignore[arg-type]
    assert inputs is not None
    assert catalog.inputs(place.catalog, torchy).items() <= inputs.items()
    assert {name: text for name, text in inputs.items() if name.startswith("drift/")} == {
        "drift/base/trixie": f"sha256:{'b' * 64}",
        "drift/base/trixie/libc6": "2.41-12 -> 2.41-13",
        "drift/base/trixie/bash": "absent -> 5",
    }
    assert drift_inputs({}) == {}


def test_a_label_that_cannot_be_read(place: Place) -> None:
    for text in ("{", "[]", '{"a": 1}', "[" * 9999):
        with pytest.raises(BuildFailed, match=r"assay\.drift"):
            drift_of({"assay.drift": text})
