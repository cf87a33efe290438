"""What is read out of certificates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay import certificate, doctor
from assay.catalog import Built, write_images
from assay.doctor import Certified, Gpu, Machine, judge, order
from assay.doctor.cuda import Code, Library
from assay.errors import UsageError, VerificationFailed
from tests.conftest import ROOT
from tests.unit.certificate import reports
from tests.unit.doctor.known import (
    JSON,
    PLACES,
    gathered,
    keep,
    statement,
)


def test_the_facts_of_a_certificate(tmp_path: Path) -> None:
    keep(tmp_path / "certificates", statement())
    (facts,), unusable = gathered(tmp_path)
    assert not unusable
    assert facts == Certified(
        image="one",
        digest="sha256:" + "d" * 64,
        reference="REGISTRY/one@sha256:" + "d" * 64,
        framework="torch 2.15.0",
        module=facts.module,
        modules=facts.modules,
        python="3.13",
        architecture="amd64",
        cuda=(13, 2),
        toolkit=(13, 0),
        least_driver=(580,),
        libraries=(
            Library(
                "libtorch_cuda.so",
                frozenset({Code((8, 0)), Code((9, 0), "a")}),
                frozenset({Code((9, 0))}),
            ),
        ),
        wholly=frozenset({(8, 0), (9, 0)}),
        partly=frozenset({(7, 5)}),
        levels={"cpu": "E2"},
        created=facts.created,
    )


def test_the_modules_are_the_framework_its_backends_and_its_companions(tmp_path: Path) -> None:
    """Of the committed certificates: a companion is what is trained too, and a package."""
    found, _ = gathered(ROOT)
    modules = {facts.image: facts.modules for facts in found}
    assert modules["keras"] == {"keras", "tensorflow", "jax", "torch"}
    assert modules["torchtext"] == {"torch", "torchvision", "torchtext"}
    assert modules["theano"] == {"theano", "keras"}
    assert modules["jax"] == {"jax"}


def test_a_level_is_computed_and_never_read(tmp_path: Path) -> None:
    data = statement()
    data["predicate"]["achieved"] = "E4"
    next(one for one in data["predicate"]["results"] if one["id"].startswith("P3"))["state"] = "fail"
    keep(tmp_path / "certificates", data)
    (facts,), _ = gathered(tmp_path)
    assert facts.levels == {"cpu": "E1"}
    assert facts.shortcoming.startswith("P3.")
    assert judge(Machine(), facts).why.startswith("its certificate amounts to E1 only: P3.")


def test_what_was_certified_here_comes_before_what_came_with_the_repository(tmp_path: Path) -> None:
    keep(tmp_path / "certificates", statement(digest="a"))
    new = statement(digest="b", framework="torch 3")
    new["predicate"]["timeCreated"] = "2999-01-01T00:00:00Z"
    keep(tmp_path / "build/certificates", new)
    (facts,), _ = gathered(tmp_path)
    assert (facts.framework, facts.digest) == ("torch 3", "sha256:" + "b" * 64)


def test_certificates_of_one_digest_are_read_together_and_others_are_left(tmp_path: Path) -> None:
    keep(tmp_path / "certificates", statement())
    keep(tmp_path / "certificates", statement(device="gpu"), "one/gpu")
    (facts,), _ = gathered(tmp_path)
    assert facts.levels == {"cpu": "E2", "gpu": "E3"}
    assert facts.certified_on == ("NVIDIA H100 80GB HBM3",)
    old = statement(digest="a")
    old["predicate"]["timeCreated"] = "2000-01-01T00:00:00Z"
    keep(tmp_path / "certificates", old)
    (facts,), _ = gathered(tmp_path)
    assert facts.levels == {"gpu": "E3"}


def test_the_newest_is_so_by_its_time_and_not_by_its_letters(tmp_path: Path) -> None:
    for digest, device, created in (("a", "cpu", "2026-01-02T00:30:00+01:00"), ("b", "gpu", "2026-01-02T00:00:00Z")):
        data = statement(device=device, digest=digest)
        data["predicate"]["timeCreated"] = created
        keep(tmp_path / "certificates", data, f"one/{device}")
    (facts,), _ = gathered(tmp_path)
    assert (facts.digest[-1], facts.created) == ("b", "2026-01-02T00:00:00Z")


def test_the_image_that_is_built_here_goes_by_its_local_name(tmp_path: Path) -> None:
    keep(tmp_path / "certificates", statement())
    (tmp_path / "build").mkdir()
    for digest, reference in (("d", "assay/one"), ("e", "REGISTRY/one@sha256:" + "d" * 64)):
        made = Built("k", None, f"sha256:{digest * 64}", "sha256:c", (), (), 1, 1, 1.0, "now")
        write_images(tmp_path, {"one": made})
        (facts,), _ = gathered(tmp_path)
        assert facts.reference == reference


@pytest.mark.parametrize(
    ("stack", "problem"),
    [
        ({"served": {"wholly": ["9.0; rm -rf"]}}, "served.wholly"),
        ({"served": {"wholly": ["9.0"] * 65}}, "served.wholly"),
        ({"served": []}, "served"),
        ({"least_driver": "1" * 6}, "least_driver"),
        ({"coverage": {"x" * 257: {}}}, "coverage"),
        ({"coverage": {str(number): {} for number in range(4097)}}, "coverage"),
        ({"coverage": {"x": {"ptx": [9]}}}, "coverage"),
        ({"framework": "x" * 257}, "framework"),
        ({"framework": None}, "framework"),
        ({"cudart": 13.2}, "cudart"),
    ],
)
def test_a_stack_that_is_no_stack_is_said(tmp_path: Path, stack: dict[str, Any], problem: str) -> None:
    keep(tmp_path / "certificates", statement(**stack))
    images, ((name, said),) = gathered(tmp_path)
    assert not images
    assert name == "one"
    assert problem in said


@pytest.mark.parametrize(
    "data",
    [
        "{",
        "[]",
        "null",
        "[" * 100_000,
        '{"predicate": ' * 100_000,
        json.dumps({"predicate": {}}),
        "\x00",
        '{"a": 1e999}',
    ],
)
def test_what_is_no_certificate_is_said_and_the_others_are_read(tmp_path: Path, data: str) -> None:
    keep(tmp_path / "certificates", statement())
    keep(tmp_path / "certificates", data, "two/cpu")
    (facts,), ((name, _),) = gathered(tmp_path)
    assert (facts.image, name) == ("one", "certificates/two/cpu.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(subject=[]),
        lambda data: data.update(subject=[{"digest": {"sha256": "d"}}]),
        lambda data: data["predicate"].update(timeCreated=1),
        lambda data: data["predicate"]["image"].update(platform="x" * 1000),
        lambda data: data["predicate"].pop("image"),
    ],
)
def test_what_a_statement_lacks_is_said(change: Any) -> None:
    data = statement()
    change(data)
    with pytest.raises(VerificationFailed, match="malformed"):
        certificate.read(data, certificate.Policy(reports.SUITES))


def test_a_certificate_that_is_too_large_or_no_file_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keep(tmp_path, statement())
    monkeypatch.setattr("assay.doctor.facts.LARGEST_REPORT", 100)
    for each in (path, tmp_path):
        with pytest.raises(VerificationFailed, match="no plain file below"):
            doctor.read(each)
    with pytest.raises(VerificationFailed, match="cannot be read"):
        doctor.read(tmp_path / "none")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), JSON)
def test_whatever_stands_in_a_certificate_is_facts_or_a_problem(place: str, value: Any) -> None:
    """Any JSON at any place: facts that the decision can work with, or a `VerificationFailed`."""
    data = statement(device="gpu")
    predicate = data["predicate"]
    for holder in (data, predicate, predicate["stack"], predicate["plan"], predicate["host"]):
        if place in holder:
            holder[place] = value
            break
    try:
        facts = doctor.certified([certificate.read(data, certificate.Policy(reports.SUITES))], "r")
    except VerificationFailed:
        return
    verdict = judge(Machine(driver=(580, 65, 6), gpus=(Gpu("GPU", (9, 0)),)), facts)
    assert verdict.why
    assert order(facts, verdict)
    json.dumps(doctor.as_json(doctor.Diagnosis(Machine(), False, (), (doctor.Row(facts, verdict, None),), ())))


def test_the_certificates_of_this_repository_are_of_use() -> None:
    images, unusable = doctor.gather(ROOT, certificate.Suites.read(ROOT))
    assert images
    assert not unusable
    for image in images:
        assert judge(Machine(), image).runs == "cpu", image


def test_no_certificates_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no certificates"):
        gathered(tmp_path)
