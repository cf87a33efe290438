"""Certify on a real Slurm: three nodes that pull from a registry by digest, and run the image by Apptainer."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assay import engine
from tests.apptainer import Machine
from tests.integration.conftest import ASSAY, Newcomer, assay, publish
from tests.registries import Registry
from tests.slurm import NODES, Slurm

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class Site:
    """A checkout with the newcomer in it, a registry, and a cluster on which `assay smoke` is run."""

    newcomer: Newcomer
    registry: Registry
    slurm: Slurm
    rooms: Path

    @property
    def checkout(self) -> Path:
        return self.newcomer.checkout

    @property
    def environment(self) -> dict[str, str]:
        return {**self.slurm.environment, "TMPDIR": str(self.rooms)}

    def argv(self, *arguments: str) -> list[str]:
        return ["smoke", "newcomer", "--on", "slurm", "--registry", f"{self.registry.host}/team", *arguments]

    def smoke(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return assay(self.checkout, *self.argv(*arguments), **{**self.environment, **environment})

    def begun(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, while it goes on."""
        argv = [ASSAY, *self.argv(*arguments)]
        environment = {**os.environ, **self.environment}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(argv, cwd=self.checkout, env=environment, text=True, **pipes)  # type: ignore[call-overload]

    def jobs(self) -> list[tuple[str, str, str]]:
        """All jobs so far, the last one first: number, state, and how often it was started again."""
        form = "ArrayJobID:20|,State:20|,RestartCnt:8|"
        lines = self.slurm.run("squeue", "--array", "--noheader", "--states=all", f"--Format={form}").splitlines()
        rows = [[word.strip() for word in line.split("|")] for line in lines]
        return sorted(((row[0], row[1], row[2]) for row in rows), key=lambda row: -int(row[0]))

    def await_job(self, holds: Callable[[tuple[str, str, str]], bool], before: int) -> None:
        """Wait for a job that was submitted after there were so many, and for what is to hold of it."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            jobs = self.jobs()
            if len(jobs) > before and holds(jobs[0]):
                return
            time.sleep(0.3)
        raise AssertionError(self.jobs())

    def certificate(self) -> dict[str, Any]:
        found = json.loads((self.checkout / "build/certificates/newcomer/cpu.json").read_text())
        assert isinstance(found, dict)
        return found

    @property
    def left(self) -> list[str]:
        """What is left of jobs: where nodes worked, and what they share with the host."""
        shared = self.checkout / "build/cluster"
        return [path.name for folder in (self.rooms, shared) for path in folder.glob("[!.]*")]


@pytest.fixture(scope="module")
def site(
    first_newcomer: Newcomer, machine: Machine, programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("cluster")
    for name in ("bin", "rooms", "slurm", "registry"):
        (folder / name).mkdir()
    machine.program(folder / "bin/apptainer", folder / "rooms")
    with (
        Registry(programs / "docker-registry", folder / "registry") as registry,
        Slurm.unpacked(folder / "slurm", folder / "bin") as slurm,
    ):
        yield Site(first_newcomer, registry, slurm, folder / "rooms")


@contextlib.contextmanager
def drained(site: Site) -> Iterator[None]:
    """No node starts a job meanwhile."""
    nodes = f"nodename={','.join(NODES)}"
    site.slurm.run("scontrol", "update", nodes, "state=drain", "reason=tests")
    yield
    for node in NODES:
        site.slurm.resume(node)


def said(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    for word in words:
        assert word in done.stdout, done.stdout


def told(statement: dict[str, Any]) -> dict[str, Any]:
    """A certificate without what differs between two runs on one machine."""
    predicate = {
        name: value
        for name, value in statement["predicate"].items()
        if name not in {"timeCreated", "host", "results", "faults", "stack"}
    }
    predicate["plan"] = {name: value for name, value in predicate["plan"].items() if name != "engine"}
    predicate["results"] = [
        (result["id"], result["state"], [metric["name"] for metric in result["metrics"]])
        for result in statement["predicate"]["results"]
    ]
    predicate["faults"] = [(fault["id"], fault["state"]) for fault in statement["predicate"]["faults"]]
    return {**statement, "predicate": predicate}


def test_the_certificate_is_the_one_of_a_single_machine(site: Site, key: Path) -> None:
    done = assay(site.checkout, "smoke", "newcomer", "--again")
    assert done.returncode == 0, done.stdout + done.stderr
    here = site.certificate()
    ran = site.smoke("--again")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    there = site.certificate()
    assert told(there) == told(here)
    assert there["predicate"]["achieved"] == "E2"
    assert "apptainer" in there["predicate"]["plan"]["engine"]
    assert "slurm" in there["predicate"]["plan"]["engine"]
    table = [line.split()[:2] for line in done.stdout.splitlines()]
    assert [line.split()[:2] for line in ran.stdout.splitlines()] == table
    assert site.left == []
    assert site.registry.tags("team/newcomer") == []  # what is not certified has no name
    (published,) = publish(site.newcomer, site.registry, key)
    assert str(published["reference"]).endswith(site.newcomer.built.digest)
    before = site.jobs()
    assert "unchanged since" in site.smoke().stdout
    assert site.jobs() == before


def test_ranks_train_there_too(site: Site) -> None:
    ran = site.smoke("--ranks", "2", "--memory", "2g", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (row,) = json.loads(ran.stdout)
    assert (row["passed"], row["level"]) == (True, "E2")
    assert site.certificate()["predicate"]["plan"]["ranks"] == 2


def test_a_job_whose_node_is_lost_is_started_again_by_slurm(site: Site) -> None:
    before = len(site.jobs())
    running = site.begun("--again", "--json")
    site.await_job(lambda job: job[1] == "RUNNING", before)
    for node in NODES:
        if site.slurm.state(node) in {"mixed", "allocated"}:
            site.slurm.run("scontrol", "update", f"nodename={node}", "state=down", "reason=lost")
    out, err = running.communicate(timeout=300)
    for node in NODES:
        site.slurm.resume(node)
    assert running.returncode == 0, out + err
    assert json.loads(out)[0]["passed"]
    assert site.jobs()[0][1:] == ("COMPLETED", "1")


def test_an_interrupt_cancels_what_was_submitted(site: Site) -> None:
    before = len(site.jobs())
    running = site.begun("--again")
    site.await_job(lambda job: job[1] == "RUNNING", before)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    site.await_job(lambda job: job[1] == "CANCELLED", before)
    deadline = time.monotonic() + 20
    while any(site.rooms.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(site.rooms.iterdir())


def test_what_finished_while_no_host_waited_is_collected_by_the_next_run(site: Site) -> None:
    (site.checkout / "build/certificates/newcomer/cpu.json").unlink(missing_ok=True)
    before = len(site.jobs())
    running = site.begun()
    site.await_job(lambda job: job[1] == "RUNNING", before)
    running.kill()  # the host goes away, and says nothing to Slurm
    running.communicate(timeout=60)
    site.await_job(lambda job: job[1] == "COMPLETED", before)
    ran = site.smoke("--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)[0]["passed"]
    assert len(site.jobs()) == before + 1  # it was not submitted again
    assert site.left == []


def test_a_script_that_was_submitted_by_hand(site: Site) -> None:
    (site.checkout / "build/certificates/newcomer/cpu.json").unlink(missing_ok=True)
    printed = site.smoke("--print")
    assert printed.returncode == 0, printed.stderr
    before = len(site.jobs())
    argv, environment = ["sbatch", "--wait"], {**os.environ, **site.environment}
    subprocess.run(argv, input=printed.stdout, text=True, env=environment, timeout=200, check=True)
    ran = site.smoke("--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)[0]["passed"]
    assert len(site.jobs()) == before + 1


def test_a_job_that_is_cancelled_by_somebody_else(site: Site) -> None:
    before = len(site.jobs())
    running = site.begun("--again")
    site.await_job(lambda job: job[1] == "RUNNING", before)
    site.slurm.run("scancel", site.jobs()[0][0])
    out, err = running.communicate(timeout=120)
    assert running.returncode == 1, err
    assert "its job was cancelled" in out


def test_a_registry_that_the_nodes_cannot_reach(site: Site) -> None:
    before = len(site.jobs())
    with drained(site):
        running = site.begun("--again")
        site.await_job(lambda job: job[1] == "PENDING", before)
        site.registry.kill()
    out, err = running.communicate(timeout=300)
    site.registry.start()
    assert running.returncode == 1, err
    assert "cannot pull" in out
    assert "connection refused" in out
    assert "apptainer registry login" in out
    assert site.jobs()[0][2] == "2"  # Slurm was asked to try it twice again
    assert site.left == []


def test_an_image_that_the_registry_changed_is_not_run(site: Site) -> None:
    """Its manifest names a layer that has other content by now: the node finds that out."""
    done = site.smoke("--again", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    largest = max(site.registry.storage.glob("blobs/sha256/*/*/data"), key=lambda path: path.stat().st_size)
    data = largest.read_bytes()
    changed = bytearray(data)
    changed[len(changed) // 2] ^= 1
    largest.write_bytes(bytes(changed))
    try:
        said(site.smoke("--again"), "has other content than its digest says", "sha256")
    finally:
        largest.write_bytes(data)


def test_a_partition_that_is_not_there(site: Site) -> None:
    ran = site.smoke("--again", "--partition", "nowhere")
    assert ran.returncode == 2
    assert "Invalid partition name" in ran.stderr
    assert site.left == []


def test_a_job_that_never_starts(site: Site) -> None:
    ran = site.smoke("--again", "--partition", "closed", "--start-within", "1")
    said(ran, "Slurm did not start it in 1 minutes: pending (PartitionDown)")
    assert site.jobs()[0][1] == "CANCELLED"
    assert site.left == []


def test_a_node_without_apptainer_runs_it_by_docker(site: Site, running: engine.Engine) -> None:
    path = ":".join(site.slurm.environment["PATH"].split(":")[1:])
    line = subprocess.run([ASSAY, "engine", "env"], capture_output=True, text=True, check=False).stdout
    words = dict(word.removeprefix("export ").partition("=")[::2] for word in line.splitlines() if "=" in word)
    settings = {name: value.strip("'\"") for name, value in words.items() if name.startswith("DOCKER_")}
    ran = site.smoke("--again", **settings, PATH=f"{Path(sys.executable).parent}:{path}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    running.remove(f"{site.registry.host}/team/newcomer@{site.newcomer.built.digest}")
    assert "Docker version" in site.certificate()["predicate"]["plan"]["engine"]
    assert not [name for name in running.running() if re.match(r"assay-[0-9a-f]{16}-", name)]
    assert site.left == []


def test_a_node_with_neither(site: Site) -> None:
    path = ":".join([*site.slurm.environment["PATH"].split(":")[1:3], "/usr/bin", "/bin"])
    ran = site.smoke("--again", PATH=path)
    said(ran, "the node has no Apptainer and no Docker")


# Each rank tells the first one its number, and hears the sum: over the addresses that it was told, and no others.
RANKS = """\
import json, os, socket, sys, time
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
import autograd.numpy as np
if rank == 0:
    with socket.create_server(place) as server:
        peers = [server.accept()[0] for _ in range(world - 1)]
        total = int(np.sum(np.array([0, *(int(peer.recv(16)) for peer in peers)])))
        for peer in peers:
            peer.sendall(str(total).encode())
else:
    for _ in range(300):
        try:
            peer = socket.create_connection(place, timeout=60)
            break
        except OSError:
            time.sleep(0.2)
    peer.sendall(str(rank).encode())
    total = int(peer.recv(16))
task = json.loads(os.environ["TF_CONFIG"])
print(rank, world, total, task["task"]["index"], len(set(task["cluster"]["worker"])), os.environ["PET_NODE_RANK"],
      os.environ["SLURM_PROCID"], os.path.ismount("/dev/shm"), flush=True)
"""


def test_ranks_on_three_nodes_find_each_other_by_the_line_that_is_printed(site: Site) -> None:
    reference = f"{site.registry.host}/team/newcomer@{site.newcomer.built.digest}"
    ensured = site.smoke()  # the registry has it by then
    assert ensured.returncode == 0, ensured.stdout + ensured.stderr
    (site.rooms / "ranks.py").write_text(RANKS)
    words = ["--print", "slurm", "--nodes", "3", "--device", "cpu", reference, "python", "ranks.py"]
    printed = assay(site.checkout, "run", *words)
    assert printed.returncode == 0, printed.stderr
    # A registry without TLS needs a word that no line for others has; and the user's cache is none of ours.
    line = printed.stdout.replace("apptainer run ", "apptainer run --no-https --disable-cache ")
    environment = {**os.environ, **site.environment}
    done = subprocess.run(
        ["sh", "-c", line], cwd=site.rooms, env=environment, text=True, capture_output=True, timeout=400, check=False
    )
    (site.rooms / "ranks.py").unlink()
    assert done.returncode == 0, done.stderr
    rows = sorted(row.split() for row in done.stdout.splitlines() if row[:1].isdigit())
    assert rows == [[str(rank), "3", "3", str(rank), "3", str(rank), str(rank), "True"] for rank in range(3)]
