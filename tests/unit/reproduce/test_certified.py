"""A built image against the one that was certified."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from assay import catalog, reproduce, rootfs
from assay.catalog import Change, Drift
from assay.certificate import Suite
from assay.certify import records
from assay.errors import VerificationFailed
from assay.reproduce import Against
from tests.unit.certificate import reports
from tests.unit.place import Engine, Place, View

RUN = "RUN |1 SOURCE_DATE_EPOCH=1 /bin/sh -c sh /run/install  # buildkit"
GCC = "RUN /bin/sh -c gcc -shared -o /usr/lib/x.so /run/x.c; ldconfig # buildkit"
# What makes the layers that the engine gives: the base's, the stack's, the framework's.
STEPS = {"base/trixie": ["ADD rootfs.tar / # buildkit"], "cuda/1.0": [RUN], "torchy": [RUN, "WORKDIR /home/assay"]}
PYTHON = Change("libpython3.13-minimal", "3.13.5-1", "3.13.5-2")
LIBC = Change("libc6", "2.41-1", "2.41-2")
BINUTILS = Change("binutils", "2.44-1", "2.44-2")


class Layered(Engine):
    """An engine whose images have layers as named, and a configuration with the steps."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.layers = {name: [f"{name} {at}" for at in range(len(steps))] for name, steps in STEPS.items()}
        self.steps = {name: list(steps) for name, steps in STEPS.items()}
        self.content: Any = self.blobs

    def image(self, reference: str) -> Any:
        facts = super().image(reference)
        if facts is None:
            return None
        names = [name for name in facts.diff_ids if name in self.layers]
        layers = [layer for name in names for layer in self.layers[name]]
        config = f"sha256:{hashlib.sha256(json.dumps(layers).encode()).hexdigest()}"
        return type(facts)(**{**vars(facts), "diff_ids": tuple(layers), "config_digest": config})

    def blobs(self, reference: str, digests: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        history = [{"created_by": "ARG PARENT", "empty_layer": True}]
        for name in self.layers:
            history += [{"created_by": step} for step in self.steps[name]]
        yield from ((digest, io.BytesIO(json.dumps({"history": history}).encode())) for digest in digests)


@pytest.fixture
def certified(place: Place) -> Place:
    """What is built was certified, and the certificate is kept."""
    place.engine = Layered(place.root)
    place.build("torchy")
    commit(place)
    return place


def commit(place: Place) -> None:
    cat, built = place.catalog, place.known()
    known = Suite.read(place.root)

    image, made = cat.get("torchy"), built["torchy"]
    inputs = catalog.inputs(cat, image)
    facts = {"digest": made.digest, "configDigest": made.config, "diffIDs": made.diff_ids, "inputs": inputs}
    report = reports.written(dict(catalog.plan(image)), known)
    path = place.root / "certificates/torchy/cpu.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(reports.stated(report, known, **facts)))
    records.keep(cat, {"torchy"})


def held(place: Place, **changed: list[str]) -> Against:
    """Build again with these layers, and compare."""
    engine = place.engine
    assert isinstance(engine, Layered)
    for name, layers in changed.items():
        engine.layers[name.replace("_", "/").replace("cuda/1", "cuda/1.0").replace("base", "base/trixie")] = layers
    engine.names.clear()
    (found,) = reproduce.certified(place.catalog, engine, ["torchy"], View())  # type: ignore[arg-type]
    return found


def drifting(place: Place, monkeypatch: pytest.MonkeyPatch, *changes: Change) -> None:
    tar = place.root / "tar"
    tarfile.open(tar, "w").close()
    drift = Drift("d" * 64, changes, () if changes else ("etc/x (content)",))
    monkeypatch.setattr(rootfs, "rootfs", lambda image, on_step, how: rootfs.Rootfs(tar, drift))


def test_the_same_layers(certified: Place) -> None:
    found = held(certified)
    assert (found.layers, found.problems, found.base) == ((), (), "")
    assert found.count == 3
    reproduce.require_certified([found])
    assert reproduce.against_row(found)["same"] is True


@pytest.mark.parametrize(
    ("changed", "number", "step"),
    [
        ({"cuda_1": ["other"]}, 2, "sh /run/install"),
        ({"torchy": ["other", "torchy 1"]}, 3, "sh /run/install"),
        ({"torchy": ["torchy 0", "other"]}, 4, "WORKDIR /home/assay"),
    ],
)
def test_a_layer_that_differs_without_a_reason(
    certified: Place, changed: dict[str, list[str]], number: int, step: str
) -> None:
    found = held(certified, **changed)
    assert [(one.number, one.step, one.because) for one in found.layers] == [(number, step, ())]
    with pytest.raises(
        VerificationFailed, match=rf"torchy: layer {number} \({step}\) differs, and ran nothing"
    ) as told:
        reproduce.require_certified([found])
    assert len(str(told.value).splitlines()) == 2
    assert reproduce.against_row(found)["same"] is False


def test_a_base_that_is_another_without_drift(certified: Place) -> None:
    assert held(certified, base=["other"]).problems == ("its base is another one, and has not drifted",)


def test_a_layer_too_many(certified: Place) -> None:
    assert held(certified, torchy=["torchy 0", "torchy 1", "more"]).problems


def test_a_base_that_drifted_is_said_and_no_fault(certified: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    drifting(certified, monkeypatch, LIBC)
    found = held(certified, base=["other"])
    assert found.base == "1 package has moved: libc6 2.41-1 -> 2.41-2"
    assert (found.layers, found.problems) == ((), ())


def test_a_layer_that_ran_the_python_that_moved(certified: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    drifting(certified, monkeypatch, LIBC, PYTHON)
    found = held(certified, base=["other"], cuda_1=["other"], torchy=["other", "torchy 1"])
    assert [one.number for one in found.layers] == [2, 3]
    assert {one.because for one in found.layers} == {("libpython3.13-minimal 3.13.5-1 -> 3.13.5-2",)}
    assert found.problems == ()


def test_a_layer_that_ran_nothing_of_what_moved(certified: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    drifting(certified, monkeypatch, LIBC, BINUTILS)
    found = held(certified, base=["other"], torchy=["other", "torchy 1"])
    assert found.problems == ("layer 3 (sh /run/install) differs, and ran nothing that moved",)


def test_a_layer_that_runs_nothing_may_never_differ(certified: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    drifting(certified, monkeypatch, PYTHON)
    found = held(certified, base=["other"], torchy=["torchy 0", "other"])
    assert found.problems == ("layer 4 (WORKDIR /home/assay) differs, and ran nothing that moved",)


def test_a_step_that_compiles(certified: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(certified.engine, Layered)
    certified.engine.steps["torchy"][0] = GCC
    drifting(certified, monkeypatch, BINUTILS)
    found = held(certified, base=["other"], torchy=["other", "torchy 1"])
    assert found.problems == ()
    assert found.layers[0].because == ("binutils 2.44-1 -> 2.44-2",)


def test_the_same_packages_in_another_tar_excuse_nothing(certified: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    drifting(certified, monkeypatch)
    assert held(certified, base=["other"]).problems == ()
    certified.engine.names.clear()
    assert held(certified, torchy=["other", "torchy 1"]).problems


def test_a_file_of_the_suite_that_no_certificate_depends_on(certified: Place) -> None:
    (certified.root / "smoke/report/compare.py").write_text("other")
    found = held(certified, torchy=["other", "torchy 1"])
    assert found.problems == ()
    assert found.layers[0].because == ("smoke/report/compare.py, which no certificate depends on",)


def test_without_a_certificate_that_holds_there_is_nothing_to_compare_with(certified: Place) -> None:
    (certified.root / "images/common/bin/entrypoint").write_text("other")
    with pytest.raises(VerificationFailed, match="1 image has no certificate that holds: torchy"):
        held(certified)
    assert certified.engine.requests
