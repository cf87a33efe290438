"""What docker is asked for when a person works in an image."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import subprocess
from pathlib import Path

import pytest

from assay.engine.sessions import Session, Sessions
from assay.errors import EngineMissing, UsageError

WANTED = Session("run", "sha256:0", ("python", "a b.py"), Path("/src"), Path("/cache/home"), "1000:100", 2**30)


class Engine(Sessions):
    """One that is not asked anything."""

    def __init__(self, kind: str = "system", access: str | None = None) -> None:
        self.kind, self._access = kind, access

    def gpu_access(self) -> str | None:
        return self._access


def options(argv: list[str], name: str) -> list[str]:
    return [value for option, value in itertools.pairwise(argv) if option == name]


def test_the_folder_the_user_and_the_home() -> None:
    argv = Engine().session_argv(WANTED)
    assert options(argv, "--mount") == [
        "type=bind,source=/src,target=/work",
        "type=bind,source=/cache/home,target=/home/assay",
    ]
    assert options(argv, "--user") == ["1000:100"]
    assert options(argv, "--workdir") == ["/work"]
    assert options(argv, "--env") == ["HOME=/home/assay"]
    assert argv[-3:] == ["sha256:0", "python", "a b.py"]
    assert {"--rm", "--init"} <= set(argv)
    assert not {"--tty", "--network", "--gpus", "--device"} & set(argv)


def test_a_home_that_a_volume_brings() -> None:
    argv = Engine().session_argv(dataclasses.replace(WANTED, home=None, volumes=("/mine:/home/assay",)))
    assert options(argv, "--mount") == ["type=bind,source=/src,target=/work"]
    assert options(argv, "--volume") == ["/mine:/home/assay"]


@pytest.mark.parametrize("name", ["a,b", 'say "hello"', "a:b", "two words", "ünï"])
def test_a_folder_of_any_name(name: str) -> None:
    argv = Engine().session_argv(Session("run", "x", (), Path("/", name), Path("/h"), "0:0", 1))
    (fields,) = csv.reader([options(argv, "--mount")[0]])
    assert fields == ["type=bind", f"source=/{name}", "target=/work"]


def test_gpus_as_the_engine_hands_them_over() -> None:
    wanted = Session("run", "x", (), Path("/s"), Path("/h"), "0:0", 1, gpu=True)
    assert options(Engine(access="cdi").session_argv(wanted), "--device") == ["nvidia.com/gpu=all"]
    assert options(Engine(access="nvidia-runtime").session_argv(wanted), "--gpus") == ["all"]


def test_the_embedded_engine_has_the_network_of_the_host_and_opens_no_port() -> None:
    wanted = Session("run", "x", (), Path("/s"), Path("/h"), "0:0", 1, ports=("80:80",))
    assert options(Engine().session_argv(wanted), "--publish") == ["80:80"]
    with pytest.raises(UsageError, match="opens no ports"):
        Engine("embedded").session_argv(wanted)
    plain = Session("run", "x", (), Path("/s"), Path("/h"), "0:0", 1)
    assert options(Engine("embedded").session_argv(plain), "--network") == ["host"]
    alone = Session("run", "x", (), Path("/s"), Path("/h"), "0:0", 1, network="none")
    assert options(Engine("embedded").session_argv(alone), "--network") == ["none"]


def test_a_line_to_paste_may_be_pasted_twice_and_anywhere(tmp_path: Path) -> None:
    engine = Engine("embedded")
    settings = {"DOCKER_HOST": "unix:///run/x.sock", "DOCKER_CONFIG": str(tmp_path / "a folder")}
    engine.environment = {**settings, "PATH": str(tmp_path)}
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "$DOCKER_HOST" "$DOCKER_CONFIG" "$@"\n')
    docker.chmod(0o755)
    said = subprocess.run(["sh", "-c", engine.session_line(WANTED)], capture_output=True, text=True, check=True)
    assert said.stdout.startswith(f"unix:///run/x.sock {tmp_path}/a folder run --rm --init --interactive --user ")
    assert not {"--name", "--tty"} & set(engine.session_line(WANTED).split())
    assert Engine().session_line(WANTED).startswith("docker run ")


def test_an_engine_of_an_older_assay_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It lacks docker-init, of which docker says that the command is not there."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    with pytest.raises(EngineMissing, match="started by an older Assay"):
        Engine("embedded").session(WANTED)


def test_other_tools_are_told_what_docker_is() -> None:
    wanted = dataclasses.replace(WANTED, gpu=True, environment=("A=1",), volumes=("v:/v",))
    recipe = Engine("embedded", access="cdi").session_recipe(wanted, "assay/one:latest")
    assert (recipe.image, recipe.command, recipe.user) == ("assay/one:latest", ("python", "a b.py"), "1000:100")
    assert (recipe.gpu, recipe.cdi, recipe.network) == (True, True, "host")
    assert (recipe.environment, recipe.volumes, recipe.home) == (("A=1",), ("v:/v",), Path("/cache/home"))
    assert Engine().session_recipe(WANTED, "x").network is None
    with pytest.raises(UsageError, match="opens no ports"):
        Engine("embedded").session_recipe(dataclasses.replace(wanted, ports=("80:80",)), "x")


@pytest.mark.parametrize("name", ["new\nline", "lat\udce9in1"])
def test_a_folder_that_docker_cannot_mount(name: str) -> None:
    with pytest.raises(UsageError, match="docker mounts no folder whose name has"):
        Engine().session_argv(dataclasses.replace(WANTED, folder=Path("/src") / name))
