"""Images are certified on a cluster as on one machine, whatever becomes of their jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay import cluster, engine
from assay.catalog import write_images
from assay.certify import Options, require_passed
from assay.cluster import watch
from assay.errors import CertificateFailed, EngineMissing, RegistryFailed, UsageError, VerificationFailed
from assay.host import process
from assay.registry import OCI_MANIFEST, digest_of
from tests.unit.cluster.made import Site


def test_the_certificates_are_those_of_a_single_machine(site: Site) -> None:
    site.engine.names = {f"assay/{name}:latest": built.digest for name, built in site.built.items()}
    site.smoke()
    here = {name: json.loads(site.certificate(name).read_text()) for name in ("plain", "tensory", "torchy")}
    outcomes = site.on_slurm(again=True)
    require_passed(outcomes.values())
    assert list(outcomes) == ["plain", "tensory", "torchy"]
    for name, before in here.items():
        after = json.loads(site.certificate(name).read_text())
        assert after["predicate"]["plan"].pop("engine") == "apptainer version 1.4 by slurm 24.11"
        del before["predicate"]["plan"]["engine"]
        for each in (before, after):
            del each["predicate"]["timeCreated"]
        assert after == before
        assert "last words" in (site.root / f"build/reports/{name}/cpu.log").read_text()
        assert (site.root / f"build/reports/{name}/cpu.json").is_file()
    assert [path.name for path in site.shared.iterdir()] == [".lock"]


def test_what_has_a_certificate_is_not_submitted(site: Site) -> None:
    assert site.on_slurm("plain")["plain"].kept_from is None
    assert site.on_slurm("plain")["plain"].kept_from is not None
    assert len(site.slurm.scripts) == 1
    site.on_slurm("plain", again=True)
    site.on_slurm("plain", ranks=2)
    assert len(site.slurm.scripts) == 3


def test_one_array_for_all_images_says_what_is_asked_of_slurm(site: Site) -> None:
    site.on_slurm("plain", "torchy", device="gpu", wishes={"gpu": True, "memory_bytes": 2**33, "partition": "a100"})
    (script,) = site.slurm.scripts
    lines = script.splitlines()
    assert lines[0] == "#!/bin/sh"
    asked = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")}
    assert {"--array=0,1", "--requeue", "--gpus=1", "--mem=8192M", "--partition=a100", "--time=60"} <= asked
    site.on_slurm("tensory", again=True)
    assert not [line for line in site.slurm.scripts[1].splitlines() if "--gpus" in line or "--mem" in line]


def test_what_a_cluster_wants_besides_is_said_by_variables(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for what would hide jobs from us, make another array of them, or is said of a job that we run in."""
    for name in ("SBATCH_ACCOUNT", "SLURM_CONF", "SQUEUE_PARTITION", "SBATCH_ARRAY_INX", "SLURM_MEM_PER_NODE"):
        monkeypatch.setenv(name, "x")
    site.on_slurm("plain")
    for environment in site.slurm.environments:
        found = {name for name in environment if environment[name] == "x"}
        assert found == {"SBATCH_ACCOUNT", "SLURM_CONF"}


def test_an_image_that_is_no_more_what_was_built_is_not_submitted(site: Site) -> None:
    site.built["plain"] = msgspec.structs.replace(site.built["plain"], suite="0" * 64)
    write_images(site.root, site.built)
    outcomes = site.on_slurm("plain", "torchy")
    assert "holds another smoke suite" in str(outcomes["plain"].error)
    assert outcomes["torchy"].passed
    assert "--array=0\n" in site.slurm.scripts[0]


def test_what_slurm_starts_again_is_answered_by_the_last_start(site: Site) -> None:
    """The first one went on, on a node that was lost, and answered too: Slurm has given it up."""

    def twice(task: Path) -> None:
        site.answering(0, status=1)(task)
        site.answering(1)(task)

    site.slurm.node = twice
    site.slurm.rows[0] = [("RUNNING", "None", "0"), ("PENDING", "BeginTime", "1"), ("COMPLETED", "None", "1")]
    assert site.on_slurm("plain")["plain"].passed
    assert site.view.states == ["plain: running on n1", "plain: pending (BeginTime) on n1"]


def test_two_answers_of_one_start_are_no_answer(site: Site) -> None:
    def twice(task: Path) -> None:
        site.answering()(task)
        site.answering()(task)

    site.slurm.node = twice
    error = site.on_slurm("plain")["plain"].error
    assert isinstance(error, VerificationFailed)
    assert "plain was answered 2 times" in error.what
    assert not site.certificate("plain").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"digest": "sha256:" + "e" * 64}, "of another digest, sha256:eeeeeeeeeeee, and sha256:"),
        ({"nonce": "0" * 16}, "of another run"),
        ({"status": "0"}, "malformed"),
        ({"more": 1}, "malformed"),
    ],
)
def test_an_answer_to_something_else(site: Site, changes: dict[str, Any], words: str) -> None:
    site.slurm.node = site.answering(**changes)
    error = site.on_slurm("plain")["plain"].error
    assert isinstance(error, VerificationFailed)
    assert words in error.what
    assert not site.certificate("plain").exists()


def linked(folder: Path) -> None:
    (folder / "report.json").rename(folder / "other")
    (folder / "report.json").symlink_to(folder / "other")


def absent(folder: Path) -> None:
    (folder / "report.json").unlink()


def large(folder: Path) -> None:
    with (folder / "log").open("wb") as file:
        file.truncate(2**20)


def of_another_image(folder: Path) -> None:
    data = json.loads((folder / "report.json").read_text())
    (folder / "report.json").write_text(json.dumps({**data, "image": "torchy"}))


def of_another_plan(folder: Path) -> None:
    data = json.loads((folder / "report.json").read_text())
    (folder / "report.json").write_text(json.dumps({**data, "plan": {**data["plan"], "ranks": 2}}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (linked, "report.json cannot be read"),
        (absent, "report.json cannot be read"),
        (large, "log is no file of at most"),
        (of_another_image, "the report is of"),
        (of_another_plan, "the report answers another plan"),
    ],
)
def test_a_strangers_files(site: Site, change: Callable[[Path], None], words: str) -> None:
    def answer(task: Path) -> None:
        site.answering()(task)
        (folder,) = task.glob("answer.*")
        change(folder)

    site.slurm.node = answer
    error = site.on_slurm("plain")["plain"].error
    assert isinstance(error, VerificationFailed)
    assert words in error.what
    assert not site.certificate("plain").exists()


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"stage": "pull", "status": 1}, RegistryFailed, "plain on n1: the node cannot pull"),
        ({"stage": "altered", "status": 1}, VerificationFailed, "has other content than its digest says: last words"),
        ({"stage": "runtime", "status": 127}, EngineMissing, "no Apptainer and no Docker"),
        ({"status": 3}, CertificateFailed, "the suite crashed with exit code 3: last words"),
        ({"status": 137}, CertificateFailed, "want of memory"),
    ],
)
def test_a_node_that_fails(site: Site, changes: dict[str, Any], kind: type[Exception], words: str) -> None:
    site.on_slurm("plain")
    site.slurm.node = site.answering(**changes)
    outcomes = site.on_slurm("plain", "torchy", again=True)
    error = outcomes["plain"].error
    assert isinstance(error, kind)
    assert words in str(error)
    assert not site.certificate("plain").exists()  # it would be of an earlier run
    with pytest.raises(CertificateFailed):
        require_passed(outcomes.values())


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("TIMEOUT", "Slurm ended it at its time limit"),
        ("OUT_OF_MEMORY", "want of memory"),
        ("CANCELLED", "its job was cancelled"),
        ("NODE_FAIL", "its job ended as node fail on n1, and left no answer: slurmstepd: its last word"),
        ("", "its job is not known to Slurm any more, and left no answer"),
    ],
)
def test_a_job_without_an_answer(site: Site, state: str, words: str) -> None:
    site.slurm.node = lambda task: (task / "slurm.log").write_text("slurmstepd: its last word\n\n")
    site.slurm.rows[0] = [(state, "None", "0")]
    error = site.on_slurm("plain")["plain"].error
    assert isinstance(error, CertificateFailed)
    assert words in error.what
    assert sum(site.slept) >= watch.GRACE  # a shared folder is slow to show what is there


def test_an_answer_that_a_shared_folder_shows_late(site: Site) -> None:
    tasks: list[Path] = []
    site.slurm.node = tasks.append

    def look() -> None:
        if site.slurm.looks == 4:
            site.answering()(tasks[0])

    site.slurm.on_look = look
    assert site.on_slurm("plain")["plain"].passed


def test_a_job_that_never_starts_is_cancelled_with_slurms_own_reason(site: Site) -> None:
    site.slurm.rows[0] = [("PENDING", "PartitionNodeLimit", "0")]
    site.slurm.rows[1] = [("COMPLETED", "None", "0")]
    outcomes = site.on_slurm("plain", "torchy", start_within=120.0)
    error = outcomes["plain"].error
    assert isinstance(error, CertificateFailed)
    assert "plain: Slurm did not start it in 2 minutes: pending (PartitionNodeLimit)" in error.what
    assert 120 < sum(site.slept) < 140
    assert site.slurm.cancelled == ["101_0"]
    assert outcomes["torchy"].passed


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (process.Completed(127, "", "sbatch: not found"), EngineMissing, "there is no Slurm here"),
        (
            process.Completed(1, "", "sbatch: error: Batch job submission failed: Invalid partition name specified"),
            UsageError,
            "Slurm does not take the job: Invalid partition name specified",
        ),
        (
            process.Completed(1, "", "Unable to contact slurm controller (connect failure)"),
            EngineMissing,
            "Slurm does not answer",
        ),
    ],
)
def test_a_slurm_that_takes_nothing(site: Site, said: process.Completed, kind: type[Exception], words: str) -> None:
    site.slurm.refuses["sbatch"] = said
    with pytest.raises(kind, match=words.replace("(", r"\(")):
        site.on_slurm("plain")
    assert [path.name for path in site.shared.iterdir()] == [".lock"]


def test_a_controller_that_is_away_for_a_while(site: Site) -> None:
    away = process.Completed(1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    site.slurm.refuses["squeue"] = away

    def back() -> None:
        if site.now > 60:
            site.slurm.refuses.pop("squeue", None)

    site.on_sleep = back
    assert site.on_slurm("plain")["plain"].passed
    site.slurm.refuses["squeue"] = away
    site.on_sleep = lambda: None
    with pytest.raises(EngineMissing, match="Slurm does not answer"):
        site.on_slurm("plain", again=True)


def interrupted(site: Site) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    site.slurm.on_look = interrupt
    with pytest.raises(KeyboardInterrupt):
        site.on_slurm("plain", "torchy")
    site.slurm.on_look = lambda: None


def test_an_interrupt_cancels_what_was_submitted_and_the_next_run_collects_what_had_finished(site: Site) -> None:
    site.slurm.node = lambda task: site.answering()(task) if task.name == "0" else None
    interrupted(site)
    assert site.slurm.cancelled == ["101_0", "101_1"]
    site.slurm.rows = {0: [("COMPLETED", "None", "0")], 1: [("CANCELLED", "None", "0")]}
    site.slurm.node = site.answering()
    outcomes = site.on_slurm("plain", "torchy")
    assert all(outcome.passed for outcome in outcomes.values())
    assert len(site.slurm.scripts) == 2
    assert "--array=0\n" in site.slurm.scripts[1]  # torchy alone was submitted again


def test_jobs_that_go_on_are_waited_for_and_not_submitted_again(site: Site) -> None:
    tasks: list[Path] = []
    site.slurm.node = tasks.append
    interrupted(site)

    def look() -> None:
        if site.slurm.looks == 3:
            for task in tasks:
                site.answering()(task)

    site.slurm.on_look = look
    site.slurm.rows = {index: [("RUNNING", "None", "0")] * 3 + [("COMPLETED", "None", "0")] for index in (0, 1)}
    assert all(outcome.passed for outcome in site.on_slurm("plain", "torchy").values())
    assert len(site.slurm.scripts) == 1


def test_a_job_of_an_earlier_build_is_cancelled_and_its_answer_is_not_taken(site: Site) -> None:
    interrupted(site)
    site.slurm.cancelled.clear()
    content = b'{"schemaVersion": 2, "rebuilt": true}'
    site.registry.manifests["team/plain", digest_of(content)] = (OCI_MANIFEST, content)
    site.built["plain"] = msgspec.structs.replace(site.built["plain"], digest=digest_of(content))
    write_images(site.root, site.built)
    outcomes = site.on_slurm("plain")
    assert outcomes["plain"].passed
    assert site.slurm.cancelled == ["101_0"]
    assert len(site.slurm.scripts) == 2


def test_the_script_of_a_run_that_is_submitted_by_hand(site: Site) -> None:
    text = cluster.script(site.catalog, ["plain"], Options(), site.place())
    assert site.slurm.scripts == []
    (run,) = site.shared.glob("*-*")
    assert f'exec sh {run}/node.sh "{run}/$SLURM_ARRAY_TASK_ID"' in text
    site.answering()(run / "0")
    (run / "started").write_text("77\n")
    site.slurm.rows[0] = [("COMPLETED", "None", "0")]
    assert site.on_slurm("plain")["plain"].passed
    assert site.slurm.scripts == []


def test_a_folder_that_no_script_can_name(site: Site) -> None:
    place = cluster.Place("registry.example/team", site.root / "a folder")
    with pytest.raises(UsageError, match="cannot name a folder"):
        cluster.script(site.catalog, ["plain"], Options(), place)


def test_an_image_that_neither_the_registry_nor_an_engine_has(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(tell: object) -> None:
        raise EngineMissing("no engine answers", "Start one.")

    monkeypatch.setattr(engine, "find", none)
    site.registry.manifests = {key: value for key, value in site.registry.manifests.items() if "plain" not in key[0]}
    outcomes = site.on_slurm("plain", "torchy")
    assert "no engine answers" in str(outcomes["plain"].error)
    assert outcomes["torchy"].passed
