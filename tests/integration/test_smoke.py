"""Certifying a real, small image, and what happens when its suite misbehaves."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from assay import certificate, engine
from assay.catalog import read_images
from tests.integration.conftest import Newcomer, assay, copy_of_newcomer

pytestmark = pytest.mark.engine


@pytest.fixture
def certified(newcomer: Newcomer) -> Path:
    """The newcomer's certificate, made once."""
    path = newcomer.checkout / "build/certificates/newcomer/cpu.json"
    if not path.exists():
        done = assay(newcomer.checkout, "smoke", "newcomer")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "P2.train.f32" in done.stdout
    return path


def test_junit_names_every_check(certified: Path, newcomer: Newcomer, tmp_path: Path) -> None:
    assert assay(newcomer.checkout, "smoke", "newcomer", "--junit", str(tmp_path / "junit.xml")).returncode == 0
    cases = ElementTree.parse(tmp_path / "junit.xml").getroot().findall("testsuite/testcase")
    report = certificate.report_of(json.loads(certified.read_text()))
    assert [case.get("name") for case in cases] == [result.id for result in report.results]


def test_the_certificate_is_of_this_digest_and_its_level_follows_from_it(
    certified: Path, newcomer: Newcomer, root: Path
) -> None:
    statement = json.loads(certified.read_text())
    assert statement["subject"] == [{"name": "newcomer", "digest": {"sha256": newcomer.built.digest[7:]}}]
    report = certificate.report_of(statement)
    suites = certificate.Suites.read(newcomer.checkout)
    verdict = certificate.read(statement, certificate.Policy(suites, digest=newcomer.built.digest)).verdict
    assert verdict.passed, verdict.problems
    assert verdict.level == statement["predicate"]["achieved"]
    assert "images/newcomer/requirements.lock" in statement["predicate"]["image"]["inputs"]
    assert {"level": "E3", "reason": "no GPU was asked for"} in statement["predicate"]["notRun"]
    assert {fault.state for fault in report.faults} == {"fail"}


def test_the_suite_ran_as_nobody_in_particular(certified: Path) -> None:
    host = json.loads(certified.read_text())["predicate"]["host"]
    assert host["uid"] == 12345
    assert int(host["shm_bytes"]) == 64 * 2**20


def test_an_unchanged_image_is_not_certified_twice(certified: Path, newcomer: Newcomer) -> None:
    before = certified.read_bytes()
    done = assay(newcomer.checkout, "smoke", "newcomer")
    assert done.returncode == 0
    assert "unchanged since" in done.stdout
    assert certified.read_bytes() == before


def test_a_gpu_that_is_not_there_fails(newcomer: Newcomer, running: engine.Engine) -> None:
    if running.gpu_access():
        pytest.skip("this engine has GPUs")
    done = assay(newcomer.checkout, "smoke", "newcomer", "--device", "gpu")
    assert done.returncode == 1
    assert "a GPU was asked for" in done.stdout + done.stderr
    assert not (newcomer.checkout / "build/certificates/newcomer/gpu.json").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 0", "left no report.json"),
        ('echo \'{"schema": 1, "suite"\' > "$4"', "malformed"),
        ('echo \'{"schema": 99}\' > "$4"', "schema 99"),
        ("echo something went wrong >&2; exit 7", "exit code 7"),
        ("sh -c 'kill -SEGV $$'; exit $?", "exit code 139"),
    ],
    ids=["missing", "truncated", "unknown-schema", "non-zero", "segfault"],
)
def test_a_suite_that_misbehaves_is_an_error_and_never_a_pass(
    script: str, said: str, newcomer: Newcomer, running: engine.Engine, tmp_path: Path
) -> None:
    checkout = copy_of_newcomer(newcomer, tmp_path)
    (checkout / "images/common/bin/smoke").write_text(f"#!/bin/sh\n{script}\n")
    assert assay(checkout, "build", "newcomer").returncode == 0
    done = assay(checkout, "smoke", "newcomer", "--json")
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)
    assert not row["passed"]
    assert said in row["error"]
    assert not (checkout / "build/certificates/newcomer/cpu.json").exists()


def test_a_suite_without_memory_is_an_error(newcomer: Newcomer) -> None:
    done = assay(newcomer.checkout, "smoke", "newcomer", "--again", "--memory", "48m", "--json")
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)
    assert not row["passed"]
    assert "memory" in json.dumps(row)


def test_an_image_with_another_suite_is_refused(newcomer: Newcomer, tmp_path: Path) -> None:
    checkout = copy_of_newcomer(newcomer, tmp_path)
    (checkout / "build/images.json").write_bytes((newcomer.checkout / "build/images.json").read_bytes())
    (checkout / "smoke/data/note.txt").write_text("another suite\n")
    assert "newcomer" in read_images(checkout).images
    done = assay(checkout, "smoke", "newcomer")
    assert done.returncode == 1
    assert "another smoke suite" in done.stdout + done.stderr
