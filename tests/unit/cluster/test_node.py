"""What a node does with a task: with programs that stand in for Apptainer, Docker and Slurm's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assay.cluster.tasks import PROGRAM

JOB = "reference=registry.example/team/one@sha256:d\ndigest=sha256:d\ndevice={device}\nplain={plain}\nnonce=abc\n"
# Each writes down what it was told, a word a line; a container's program writes its report where it is mounted.
APPTAINER = """\
[ "$1" != --version ] || { echo "apptainer version 1.4.5"; exit; }
printf '%s\\n' "$@" >>{told}
case $1 in
build) {pull} for word; do case $word in */image) mkdir "$word" ;; esac; done ;;
run) for word; do case $word in *:/run/assay/report.json) echo '{{"a": 1}}' >"${{word%%:*}}";; esac; done; {train} ;;
esac
"""
DOCKER = """\
[ "$1" != --version ] || {{ echo "Docker version 26.1.5, build a72d7cd"; exit; }}
printf '%s\\n' "$@" >>{told}
case $1 in
pull) {pull} true ;;
run) for word; do case $word in *:/run/assay/report.json) echo '{{"a": 1}}' >"${{word%%:*}}";; esac; done; {train} ;;
esac
"""


@dataclass(frozen=True)
class Node:
    """A node's programs, its room for temporary files, and a task."""

    folder: Path

    @property
    def task(self) -> Path:
        return self.folder / "run/0"

    @property
    def room(self) -> Path:
        return self.folder / "room"

    def has(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)

    def told(self, name: str = "told") -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def start(self, **environment: str) -> subprocess.Popen[str]:
        env = {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.room),
            "SLURM_JOB_ID": "7",
            "SLURM_ARRAY_JOB_ID": "6",
            "SLURMD_NODENAME": "n1",
            **environment,
        }
        argv = ["sh", str(PROGRAM), str(self.task)]
        return subprocess.Popen(argv, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, **environment: str) -> int:
        process = self.start(**environment)
        _, err = process.communicate(timeout=60)
        assert "not found" not in err, err
        assert list(self.room.iterdir()) == []  # whatever came of it
        return process.returncode

    def answers(self) -> list[dict[str, Any]]:
        found = sorted(self.task.glob("answer.*/answer.json"))
        return [json.loads(path.read_text()) for path in found]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    for name in ("bin", "room", "run/0"):
        (tmp_path / name).mkdir(parents=True)
    made = Node(tmp_path)
    (made.task / "plan.json").write_text("{}")
    (made.task / "job").write_text(JOB.format(device="cpu", plain=0))
    return made


def apptainer(node: Node, pull: str = "", train: str = "echo done") -> None:
    text = APPTAINER.replace("{{", "{").replace("}}", "}").replace("{told}", str(node.folder / "told"))
    node.has("apptainer", text.replace("{pull}", pull).replace("{train}", train))


def docker(node: Node, train: str = "echo done") -> None:
    node.has("docker", DOCKER.format(told=node.folder / "told", pull="", train=train))


def test_apptainer_pulls_by_digest_and_trains_without_a_network(node: Node) -> None:
    apptainer(node)
    assert node.run(APPTAINER_BIND="/home") == 0
    (answer,) = node.answers()
    assert answer == {
        "nonce": "abc", "digest": "sha256:d", "attempt": 0, "node": "n1", "runtime": "apptainer version 1.4.5",
        "stage": "train", "status": 0, "seconds": answer["seconds"],
    }  # fmt: skip
    (folder,) = node.task.glob("answer.*")
    assert json.loads((folder / "report.json").read_text()) == {"a": 1}
    assert (folder / "log").read_text() == "done\n"
    told = node.told()
    assert told[:2] == ["build", "--sandbox"]
    assert told[3] == "docker://registry.example/team/one@sha256:d"
    assert {"--containall", "--cleanenv", "--net"} <= set(told)
    assert told[told.index("--network") + 1] == "none"
    assert "--nv" not in told
    assert (node.folder / "run/started").read_text() == "6\n"


def test_a_gpu_is_the_one_that_slurm_gave(node: Node) -> None:
    (node.task / "job").write_text(JOB.format(device="gpu", plain=1))
    apptainer(node)
    assert node.run(CUDA_VISIBLE_DEVICES="3") == 0
    told = node.told()
    assert "--no-https" in told
    assert told[told.index("--nv") + 1 :][:2] == ["--env", "CUDA_VISIBLE_DEVICES=3"]


def test_docker_where_there_is_no_apptainer(node: Node) -> None:
    docker(node)
    assert node.run(SLURM_MEM_PER_NODE="8192") == 0
    told = node.told()
    assert told[:3] == ["pull", "--quiet", "registry.example/team/one@sha256:d"]
    assert {"--read-only", "none", "12345:12345", "64m"} <= set(told)
    assert told[told.index("--memory") + 1] == "8192m"
    assert told[-6:-4] == ["--report", "/run/assay/report.json"]
    assert told[-4:-1] == ["rm", "--force", "--volumes"]  # its container is the engine's, and not the job's
    assert node.answers()[0]["runtime"] == "Docker version 26.1.5, build a72d7cd"


def test_neither(node: Node) -> None:
    assert node.run() == 1
    assert node.answers()[0]["stage"] == "runtime"


def test_a_suite_that_fails_is_answered_with_its_status(node: Node) -> None:
    apptainer(node, train="echo broken; exit 3")
    assert node.run() == 3
    (answer,) = node.answers()
    assert (answer["stage"], answer["status"]) == ("train", 3)


@pytest.mark.parametrize("attempt", [0, 1, 2])
def test_slurm_is_asked_twice_to_start_it_again_where_the_registry_is_away(node: Node, attempt: int) -> None:
    apptainer(node, pull="echo no route to host; exit 1;")
    # Slurm ends what it starts again.
    node.has("scontrol", f'echo "$@" >>{node.folder}/asked; kill $PPID')
    status = node.run(SLURM_RESTART_COUNT=str(attempt))
    if attempt < 2:
        assert status == 143
        assert node.told("asked") == ["requeue 7"]
        assert node.answers() == []
    else:
        assert status == 1
        assert node.told("asked") == []
        assert (node.answers()[0]["stage"], node.answers()[0]["attempt"]) == ("pull", 2)
        assert "no route to host" in next(node.task.glob("answer.*/log")).read_text()


@pytest.mark.parametrize(
    "words",
    [
        'FATAL: conveyor failed to get: error verifying sha256 checksum after reading 9 bytes; got "sha256:0"',
        "filesystem layer verification failed for digest sha256:0",
        "failed commit on ref: unexpected commit digest sha256:0, expected sha256:1: failed precondition",
    ],
)
def test_an_image_with_other_content_is_not_tried_again(node: Node, words: str) -> None:
    apptainer(node, pull=f"echo '{words}'; exit 1;")
    node.has("scontrol", f'echo "$@" >>{node.folder}/asked')
    assert node.run() == 1
    assert node.told("asked") == []
    assert node.answers()[0]["stage"] == "altered"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_slurm_ends_leaves_nothing(node: Node, number: int) -> None:
    docker(node, train=f"echo $$ >{node.folder}/pid; exec sleep 60")
    process = node.start()
    deadline = time.monotonic() + 20
    while not (node.folder / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 143
    pid = int((node.folder / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert node.told()[-4:-1] == ["rm", "--force", "--volumes"]
    assert list(node.room.iterdir()) == []
    assert node.answers() == []


def test_a_start_that_is_made_twice_leaves_two_answers(node: Node) -> None:
    apptainer(node)
    assert (node.run(), node.run()) == (0, 0)
    assert len(node.answers()) == 2
