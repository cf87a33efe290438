"""What other tools are told: lines that a shell reads as they are meant."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import subprocess
from pathlib import Path

import pytest

from assay.engine import Recipe, printed
from assay.errors import UsageError

RECIPE = Recipe(
    "registry.example/team/one:1",
    ("python", "a train's.py", "--x=$HOME"),
    gpu=True,
    environment=("NAME=two words",),
)


def words(line: str, program: str, folder: Path) -> list[str]:
    """What a program gets when a shell runs the line in a folder."""
    stand_in = folder / program
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    done = subprocess.run(
        ["sh", "-ec", line], cwd=folder, env={**os.environ, "PATH": f"{folder}:/usr/bin:/bin"}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.parametrize("tool", ["docker", "podman"])
def test_a_shell_reads_what_is_meant(tool: str, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    got = words(printed(tool, RECIPE), tool, folder)
    assert got[-4:] == ["registry.example/team/one:1", "python", "a train's.py", "--x=$HOME"]
    assert got[got.index("--volume") + 1] == f"{folder}:/work"
    assert got[got.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
    assert got[got.index("--env") + 1] == "NAME=two words"
    assert {"nvidia.com/gpu=all", "all"} & set(got)


@pytest.mark.parametrize("tool", ["docker", "podman"])
def test_the_container_gets_a_terminal_where_there_is_one(tool: str) -> None:
    assert " run -it --rm " in printed(tool, RECIPE)
    assert " run -i --rm " in printed(tool, dataclasses.replace(RECIPE, terminal=False))


def test_docker_by_other_words(tmp_path: Path) -> None:
    words_ = ("DOCKER_HOST=unix:///run/x.sock", f"{tmp_path}/docker")
    got = words(printed("docker", dataclasses.replace(RECIPE, docker=words_, cdi=True)), "docker", tmp_path)
    assert got[got.index("--device") + 1] == "nvidia.com/gpu=all"
    assert "--gpus" not in got


@pytest.mark.parametrize(("tool", "program"), [("apptainer", "apptainer"), ("slurm", "srun")])
def test_apptainer_alone_and_under_slurm(tool: str, program: str, tmp_path: Path) -> None:
    got = words(printed(tool, RECIPE), program, tmp_path)
    assert got[-4:] == ["docker://registry.example/team/one:1", "python", "a train's.py", "--x=$HOME"]
    assert "--nv" in got
    assert ("--gpus=1" in got) == (tool == "slurm")
    assert got[got.index("--bind") + 1] == f"{tmp_path}:/work"


def ranks(folder: Path, tasks: int, nodes: int, procid: int, environment: tuple[str, ...] = ()) -> dict[str, str]:
    """What a container of one rank gets, where Slurm starts so many tasks on so many nodes."""
    per_node, names = tasks // nodes, [f"n{index}" for index in range(1, nodes + 1)]
    stand_ins = {
        "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
        "apptainer": "env",
        "scontrol": '[ "$2" = hostnames ] && printf "%s\\n" $(echo "$3" | tr , " ") || '
        'echo "NodeName=$4 Arch=x86_64 NodeAddr=10.0.0.${4#n} NodeHostName=$4 Version=22"',
    }
    for name, text in stand_ins.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    slurm = {
        "SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "1", "SLURM_STEP_NODELIST": ",".join(names),
        "SLURM_STEP_NUM_TASKS": str(tasks), "SLURM_STEP_NUM_NODES": str(nodes), "SLURM_PROCID": str(procid),
        "SLURM_NODEID": str(procid // per_node), "SLURM_LOCALID": str(procid % per_node),
    }  # fmt: skip
    line = printed("slurm", dataclasses.replace(RECIPE, nodes=nodes, environment=environment))
    assert line.startswith(f"srun --nodes={nodes} --ntasks-per-node=1 --gpus-per-task=1 ")
    done = subprocess.run(
        ["sh", "-ec", line], cwd=folder, env={"PATH": f"{folder}:/usr/bin:/bin", **slurm}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    pairs = (each.partition("=") for each in done.stdout.splitlines() if each.startswith("APPTAINERENV_"))
    return {name.removeprefix("APPTAINERENV_"): value for name, _, value in pairs}


def test_each_rank_on_a_cluster_is_told_who_it_is_and_where_the_others_are(tmp_path: Path) -> None:
    got = ranks(tmp_path, tasks=3, nodes=3, procid=2)
    port = int(got["MASTER_PORT"])
    assert {name: got[name] for name in ("MASTER_ADDR", "WORLD_SIZE", "RANK", "LOCAL_RANK")} == {
        "MASTER_ADDR": "10.0.0.1", "WORLD_SIZE": "3", "RANK": "2", "LOCAL_RANK": "0",
    }  # fmt: skip
    assert (got["PET_NNODES"], got["PET_NODE_RANK"], got["PET_MASTER_ADDR"]) == ("3", "2", "10.0.0.1")
    assert (got["PET_MASTER_PORT"], got["JAX_COORDINATOR_ADDRESS"]) == (str(port), f"10.0.0.1:{port}")
    assert (got["SLURM_PROCID"], got["SLURM_NTASKS"], got["SLURM_JOB_ID"]) == ("2", "3", "4711")
    assert json.loads(got["TF_CONFIG"]) == {
        "cluster": {"worker": [f"10.0.0.{index}:{port + index}" for index in (1, 2, 3)]},
        "task": {"type": "worker", "index": 2},
    }
    assert 1024 < port < 65536


def test_several_ranks_on_each_node_have_addresses_of_their_own(tmp_path: Path) -> None:
    """Whoever edits --ntasks-per-node in the line: all else follows from what Slurm says of the step."""
    got = ranks(tmp_path, tasks=4, nodes=2, procid=3)
    assert (got["LOCAL_RANK"], got["LOCAL_WORLD_SIZE"], got["PET_NODE_RANK"]) == ("1", "2", "1")
    workers = json.loads(got["TF_CONFIG"])["cluster"]["worker"]
    assert [each.partition(":")[0] for each in workers] == ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2"]
    assert len(set(workers)) == 4


def test_what_the_user_says_of_ranks_comes_first(tmp_path: Path) -> None:
    assert ranks(tmp_path, 2, 2, 0, ("MASTER_ADDR=10.1.0.9",))["MASTER_ADDR"] == "10.1.0.9"


@pytest.mark.parametrize("tool", ["apptainer", "slurm"])
def test_apptainer_is_told_variables_and_volumes_that_it_reads_as_they_are(tool: str, tmp_path: Path) -> None:
    """Commas and quotes in them would be Apptainer's own."""
    given = dataclasses.replace(
        RECIPE, environment=("A=1,B=2", 'C="x"', "D="), volumes=("/a,b:/c", './d "e":/f:ro,z')
    )
    (tmp_path / "srun").write_text('#!/bin/sh\nshift; exec "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    (tmp_path / "apptainer").write_text('#!/bin/sh\nenv | grep ^APPTAINERENV_; printf "%s\\n" "$@"\n')
    (tmp_path / "apptainer").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    line = printed(tool, given)
    got = subprocess.run(["sh", "-ec", line], env={"PATH": path}, capture_output=True, text=True, check=True)
    lines = got.stdout.splitlines()
    assert {"APPTAINERENV_A=1,B=2", 'APPTAINERENV_C="x"', "APPTAINERENV_D="} <= set(lines)
    mounts = [lines[number + 1] for number, word in enumerate(lines) if word == "--mount"]
    assert list(csv.reader(mounts)) == [
        ["type=bind", "source=/a,b", "destination=/c"],
        ["type=bind", 'source=./d "e"', "destination=/f", "ro"],
    ]


@pytest.mark.parametrize(
    ("volume", "said"), [("data:/x", "no volumes by name, such as data"), ("/a:/b:nocopy", "knows no nocopy")]
)
def test_volumes_that_apptainer_does_not_have(volume: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        printed("apptainer", dataclasses.replace(RECIPE, volumes=(volume,)))


def test_a_job_says_what_takes_the_place_of_a_volume() -> None:
    with pytest.raises(UsageError, match=r"-v cannot be said to kubernetes\n.*in place of the `emptyDir`"):
        printed("kubernetes", dataclasses.replace(RECIPE, volumes=("/a:/b",)))


@pytest.mark.parametrize("tool", ["apptainer", "slurm", "kubernetes"])
def test_what_a_tool_cannot_be_told_is_said(tool: str) -> None:
    with pytest.raises(UsageError, match=f"-p cannot be said to {tool}\n"):
        printed(tool, Recipe("registry.example/one:1", ("python",), ports=("80:80",)))
