"""Which images can rest on the certificates that are committed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay import certify
from assay.certify import records, table
from assay.errors import VerificationFailed
from tests.unit.certificate import reports
from tests.unit.certify.made import Place


@pytest.fixture
def committed(place: Place) -> Place:
    """All images are certified, and their certificates kept."""
    place.smoke()
    table.keep(place.root)
    return place


def problems(place: Place) -> dict[str, str]:
    return {one.image.name: one.problem for one in certify.standings(place.catalog)}


def kept(place: Place, name: str = "plain") -> Path:
    return place.root / "certificates" / name / "cpu.json"


def edit(place: Place, change: Callable[[dict[str, Any]], None]) -> None:
    data = json.loads(kept(place).read_text())
    change(data)
    kept(place).write_text(json.dumps(data))


def test_what_was_certified_of_this_checkout_holds(committed: Place) -> None:
    found = certify.standings(committed.catalog)
    assert [one.image.name for one in found] == ["plain", "tensory", "torchy"]
    assert all(one.holds for one in found)
    certify.require_standing(found)
    assert found[0].diff_ids == committed.built["plain"].diff_ids
    assert found[0].config == committed.built["plain"].config
    assert found[0].date == json.loads(kept(committed).read_text())["predicate"]["timeCreated"][:10]


def fail_a_metric(data: dict[str, Any]) -> None:
    reports.metric(data["predicate"], "P2.train.f32", "loss")["value"] = "1"


EDITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "the evidence": (fail_a_metric, "loss 1 is not <="),
    "a fault": (lambda data: data["predicate"]["faults"].pop(), "fault"),
    "its claim": (lambda data: data["predicate"].update(achieved="E4"), "claims E4"),
    "its inputs": (lambda data: data["predicate"]["image"]["inputs"].popitem(), "other now: "),
    "its suite": (lambda data: data["predicate"]["suite"]["digest"].update(sha256="e" * 64), "unknown"),
    "its image": (lambda data: data["subject"][0].update(name="torchy"), "torchy"),
    "its time": (lambda data: data["predicate"].update(timeCreated="2001-01-01T00:00:00Z"), "days old"),
    "its form": (lambda data: data.update(subject=[]), "malformed"),
    "its predicate": (lambda data: data.pop("predicate"), "malformed"),
}


@pytest.mark.parametrize(("change", "said"), EDITS.values(), ids=EDITS)
def test_what_is_edited_does_not_hold(committed: Place, change: Callable[[dict[str, Any]], None], said: str) -> None:
    edit(committed, change)
    found = problems(committed)
    assert said in found.pop("plain")
    assert found == {"tensory": "", "torchy": ""}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", None])
def test_what_cannot_be_read_is_none(committed: Place, data: bytes | None) -> None:
    kept(committed).unlink() if data is None else kept(committed).write_bytes(data)
    assert problems(committed)["plain"] == "it has none"


CHECKOUT = {
    "images/plain/requirements.lock": (["plain"], "other now: images/plain/requirements.lock"),
    "images/cuda/1.0/image.toml": (["tensory", "torchy"], "other now: images/cuda/1.0/image.toml"),
    "images/common/bin/entrypoint": (["plain", "tensory", "torchy"], "other now: images/common/bin/entrypoint"),
    "smoke/frameworks/tensor.py": (["tensory"], "its suite ("),
    "smoke/reference.py": (["plain", "tensory", "torchy"], "its suite ("),
    "smoke/report/compare.py": ([], ""),  # outside of what a certificate depends on
}


@pytest.mark.parametrize("changed", CHECKOUT)
def test_a_change_voids_the_certificates_that_depend_on_it(committed: Place, changed: str) -> None:
    path = committed.root / changed
    path.write_text(path.read_text() + "\n# changed\n")
    found = {name: problem for name, problem in problems(committed).items() if problem}
    names, said = CHECKOUT[changed]
    assert sorted(found) == names
    assert all(said in problem for problem in found.values())


def test_another_plan_is_another_image(committed: Place) -> None:
    path = committed.root / "images/plain/image.toml"
    path.write_text(path.read_text().replace('["digits"]', '["digits", "sequence"]'))
    assert "it answers another plan" in problems(committed)["plain"]


def test_what_lacks_is_named_with_the_commands_that_make_it(committed: Place) -> None:
    kept(committed).unlink()
    kept(committed, "torchy").unlink()
    with pytest.raises(VerificationFailed, match="2 images have no certificate that holds: plain torchy") as told:
        certify.require_standing(certify.standings(committed.catalog))
    assert 'make build-all smoke IMAGES="plain torchy"' in told.value.todo
    assert "assay table --write" in told.value.todo
    assert len(str(told.value).splitlines()) == 2


def test_a_record_counts_for_the_image_and_the_tests_that_it_is_of(committed: Place) -> None:
    root, digest = committed.root, committed.built["plain"].digest
    (root / "tests/images").mkdir(parents=True)
    (root / "tests/images/test_one.py").write_text("one")
    records.mark(root, "plain", digest, 40, {"test_one.py::test_x[plain]": "no GPU"})
    records.keep(committed.catalog, {"plain"})

    def tested() -> str:
        return str(certify.standings(committed.catalog, ["plain"])[0].tested)

    today = records.read(root)["plain"].tested
    assert today is not None
    assert tested() == f"40 passed, 1 not run, {today.date}"
    (root / "tests/images/test_one.py").write_text("two")
    assert tested() == "None"
    (root / "tests/images/test_one.py").write_text("one")
    assert tested() != "None"
    edit(committed, lambda data: data["subject"][0]["digest"].update(sha256="e" * 64))
    assert tested() == "None"
