"""What other tools are told: lines that a shell reads as they are meant."""

from __future__ import annotations

import csv
import dataclasses
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
