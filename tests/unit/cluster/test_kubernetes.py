"""A manifest that Kubernetes takes, and the log that its Job leaves."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from assay import cluster
from assay.certify import Options, Outcome
from assay.cluster import kubernetes
from assay.errors import CertificateFailed, UsageError, VerificationFailed
from tests.unit.cluster.made import REPORT, Site


def items(site: Site, *names: str, device: str = "cpu", **wishes: Any) -> list[dict[str, Any]]:
    text = cluster.manifest(site.catalog, names, Options(device), site.place(wishes=wishes))
    found = json.loads(text)
    assert (found["apiVersion"], found["kind"]) == ("v1", "List")
    return list(found["items"])


def jobs(several: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in several if each["kind"] == "Job"]


def container(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = job["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_kubernetes_takes_the_manifest(site: Site, device: str) -> None:
    several = items(site, device=device, gpu=device == "gpu", memory_bytes=2**33)
    for each in several:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
    assert [each["kind"] for each in several] == ["NetworkPolicy", *["ConfigMap", "Job"] * 3]
    for job, name in zip(jobs(several), ("plain", "tensory", "torchy"), strict=True):
        made = container(job)
        assert made["image"] == f"{site.registry.host}/team/{name}@{site.built[name].digest}"
        assert ("nvidia.com/gpu" in made["resources"]["limits"]) == (device == "gpu")
        assert made["resources"]["limits"]["memory"] == str(2**33)
        assert job["spec"]["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    assert len({job["metadata"]["name"] for job in jobs(several)}) == 3


def ran(site: Site, folder: Path, name: str = "plain", status: int = 0, **environment: str) -> bytes:
    """What the pod's program prints, with a `smoke` that stands in for the image's."""
    several = items(site, name)
    (job,) = jobs(several)
    plan = json.loads(next(each for each in several if each["kind"] == "ConfigMap")["data"]["plan.json"])
    args = container(job)["args"]
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "out").mkdir(exist_ok=True)
    (folder / "written").write_text(json.dumps(REPORT(plan, site.known)))
    stand_in = folder / "bin/smoke"
    stand_in.write_text(
        f'#!/bin/sh\n[ "$1 $3" = "--plan --report" ] || exit 9\necho chatter\n'
        f'[ {status} = 9 ] || cp {folder}/written "$4"\nprintf "last words"\nexit {status}\n'
    )
    stand_in.chmod(0o755)
    program = args[2].replace("/tmp/report.json", f"{folder}/out/report.json")
    told = {each["name"]: each.get("value", "node-7") for each in container(job)["env"]}
    path = f"{folder}/bin:{os.environ['PATH']}"
    done = subprocess.run(
        [*args[:2], program], env={**told, "PATH": path, **environment}, capture_output=True, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def collected(site: Site, folder: Path, log: bytes, name: str = "plain") -> Outcome:
    (folder / "log").write_bytes(log)
    return cluster.collect(site.catalog, [name], Options(), site.place(), folder / "log")


def test_the_log_of_a_job_becomes_the_certificate(site: Site, tmp_path: Path) -> None:
    outcome = collected(site, tmp_path, ran(site, tmp_path))
    assert outcome.passed
    statement = json.loads(site.certificate("plain").read_text())
    assert statement["subject"][0]["digest"]["sha256"] == site.built["plain"].digest.removeprefix("sha256:")
    assert statement["predicate"]["plan"]["engine"] == "kubelet by kubernetes"
    assert (site.root / "build/reports/plain/cpu.log").read_text() == "chatter\nlast words"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda log: log + log, "the log has 2 answers"),
        (lambda log: b"chatter\n", "ends without an answer"),
        (lambda log: log.replace(b'"digest": "sha256:', b'"digest": "sha256:0000'), "of another digest, sha256:0000"),
        (lambda log: log.replace(b'"status": 0', b'"status": x'), "malformed"),
        (lambda log: log.rstrip()[:-40] + b"\n", "malformed"),
        (lambda log: log.rstrip() + b"!\n", "malformed"),
    ],
)
def test_a_log_that_is_no_answer(site: Site, tmp_path: Path, change: Callable[[bytes], bytes], words: str) -> None:
    error = collected(site, tmp_path, change(ran(site, tmp_path))).error
    assert isinstance(error, VerificationFailed)
    assert words in error.what
    assert not site.certificate("plain").exists()


def test_a_log_of_another_image(site: Site, tmp_path: Path) -> None:
    error = collected(site, tmp_path, ran(site, tmp_path, "torchy")).error
    assert isinstance(error, VerificationFailed)
    assert "of another digest" in error.what


def test_a_suite_that_crashed_there(site: Site, tmp_path: Path) -> None:
    error = collected(site, tmp_path, ran(site, tmp_path, status=9)).error
    assert isinstance(error, CertificateFailed)
    assert "plain on node-7: the suite crashed with exit code 9: last words" in error.what


def test_a_report_without_bounds(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ran(site, tmp_path)
    monkeypatch.setattr(kubernetes, "LARGEST_REPORT", 1000)
    error = collected(site, tmp_path, log).error
    assert isinstance(error, VerificationFailed)
    assert "its report is no gzip file of at most" in error.what


def test_a_log_is_of_one_image(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a log is of one image"):
        cluster.collect(site.catalog, [], Options(), site.place(), tmp_path / "log")
