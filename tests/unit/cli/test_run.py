"""`assay run --print`: what is printed, where, and that no engine is started for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest
import yaml

from assay import engine
from tests.unit.cli.ran import Ran, raising

REF = "registry.example/team/one:1"


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded engine, which does not run and must not be started."""
    monkeypatch.setattr(engine, "find", raising(AssertionError("an engine was started")))
    monkeypatch.setattr("assay.engine.choose.find", raising(AssertionError("an engine was started")))
    now = engine.Status(None, (), False, True, "embedded")
    monkeypatch.setattr("assay.engine.choose.status", lambda: now)


@pytest.mark.usefixtures("stopped")
def test_nothing_is_started_for_a_line(assay_: Callable[..., Ran]) -> None:
    assay_("run", "--print", "docker", "torchy", "python").refused(3, "does not run", "assay engine up")
    assay_("run", "--print", "podman", "torchy", "python").refused(2, "podman takes an image from a registry")
    ran = assay_("run", "--print", "docker", REF, "python", "train.py")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("docker run -i --rm --init "), "there is no terminal here"


@pytest.mark.usefixtures("stopped")
def test_a_job_says_that_it_does_not_carry_the_folder(assay_: Callable[..., Ran]) -> None:
    ran = assay_("run", "--print", "kubernetes", REF, "smoke", "--device", "gpu")
    assert json.loads(ran.out)["spec"]["template"]["spec"]["containers"][0]["args"] == ["smoke", "--device", "gpu"]
    assert "the Job does not carry the current folder" in ran.err


@pytest.mark.usefixtures("stopped")
def test_a_compose_file_of_whoever_calls(assay_: Callable[..., Ran]) -> None:
    ran = assay_("run", "-e", "A=1", "--print", "compose", REF, "python", "train.py")
    service = yaml.safe_load(ran.out)["services"]["session"]
    assert (service["image"], service["command"]) == (REF, ["python", "train.py"])
    assert service["user"] == f"{os.geteuid()}:{os.getegid()}"
    assert service["environment"] == ["A=1"]
    assay_("run", "--print", "compose", "torchy", "python").refused(3, "does not run", "assay engine up")


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(("device", "gpu"), [("auto", "optional"), ("gpu", True), ("cpu", None)])
def test_a_devcontainer_takes_the_gpu_that_there_is(assay_: Callable[..., Ran], device: str, gpu: object) -> None:
    ran = assay_("run", "--device", device, "--print", "devcontainer", REF)
    assert json.loads(ran.out).get("hostRequirements", {}).get("gpu") == gpu
    assert ran.err == ""


@pytest.mark.usefixtures("stopped")
def test_a_devcontainer_says_how_the_command_is_called(assay_: Callable[..., Ran]) -> None:
    ran = assay_("run", "--print", "devcontainer", REF, "python", "a b.py")
    assert ran.err.endswith("call it: devcontainer exec --workspace-folder . python 'a b.py'\n")


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("tool", ["docker", "compose", "devcontainer", "kubernetes", "slurm"])
def test_nonsense_is_not_printed(assay_: Callable[..., Ran], tool: str) -> None:
    for words in (["-e", "=x"], ["-v", ":/x"], ["-v", "/x:/work"], ["-p", "abc"], ["--network", ""]):
        assay_("run", *words, "--print", tool, REF, "python").refused(2, words[0])


def test_a_lab_needs_a_checkout_to_be_built_from(assay_: Callable[..., Ran]) -> None:
    """The little repository has no images/lab."""
    assay_("lab", "torchy").refused(2, "installed without one", "a clone of the repository")


def test_several_nodes_are_for_slurm(assay_: Callable[..., Ran]) -> None:
    ran = assay_("run", "--print", "slurm", "--nodes", "3", REF, "torchrun", "train.py")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("srun --nodes=3 --ntasks-per-node=1 --gpus-per-task=1 sh -c ")
    assert ran.out.rstrip().endswith(f"docker://{REF} torchrun train.py")
    assay_("run", "--print", "apptainer", "--nodes", "3", REF, "python").refused(2, "--nodes is for a line of Slurm")
    assay_("run", "--nodes", "3", "torchy", "python").refused(2, "--nodes is for a line of Slurm")


@pytest.mark.parametrize("tool", ["apptainer", "slurm", "kubernetes"])
@pytest.mark.parametrize("name", ["a/b;rm -rf", "a/$(id)", "a//b", "registry.example/A/b", "a/b@sha256:zz", "a/b:"])
def test_what_is_no_name_of_an_image_is_not_printed(assay_: Callable[..., Ran], tool: str, name: str) -> None:
    done = assay_("run", "--print", tool, name, "python")
    assert (done.code, done.out) == (2, "")
    assert "is no name of an image in a registry" in done.err
