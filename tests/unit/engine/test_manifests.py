"""Files for other tools: a manifest by Kubernetes' own schema, a Compose file by that of its specification."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from assay.engine import Recipe, printed

RECIPE = Recipe(
    "registry.example/team/one:1",
    ("python", "a train's.py", "--x=$HOME", "--rate", "1e-3"),
    gpu=True,
    environment=("NAME=two words", "A=1=2"),
    volumes=("/data:/data:ro", "kept:/kept"),
    ports=("127.0.0.1:8888:8888", "22:22"),
    user="12345:100",
)
PLAIN = Recipe("registry.example/one:1", ("python",))


@pytest.mark.parametrize("gpu", [True, False])
def test_kubernetes_takes_the_manifest(gpu: bool) -> None:
    job = json.loads(printed("kubernetes", dataclasses.replace(PLAIN, gpu=gpu, environment=("A=1=2",))))
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert ("resources" in container) == gpu
    assert {"name": "A", "value": "1=2"} in container["env"]


def against_the_specification(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Hold a text against the schema of the Compose Specification."""
    path = folder / "compose.yaml"
    path.write_text(text)
    argv = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", "vendor.compose-spec"]
    return subprocess.run([*argv, str(path)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        PLAIN,
        dataclasses.replace(RECIPE, cdi=True, network="mine"),
        dataclasses.replace(RECIPE, home=Path("/a: cache/home"), network="none", ports=()),
    ],
    ids=["all", "plain", "cdi", "here"],
)
def test_a_compose_file_is_one_by_the_specification(recipe: Recipe, tmp_path: Path) -> None:
    done = against_the_specification(printed("compose", recipe), tmp_path)
    assert done.returncode == 0, done.stdout


def test_the_specification_refuses_at_all(tmp_path: Path) -> None:
    done = against_the_specification(printed("compose", PLAIN).replace("init: true", "init: {}"), tmp_path)
    assert done.returncode == 1
    assert "services.session.init" in done.stdout


def compose(recipe: Recipe) -> tuple[dict[str, Any], dict[str, Any]]:
    """The service, and the whole file."""
    found = yaml.safe_load(printed("compose", recipe))
    return found["services"]["session"], found


def test_what_a_compose_file_says() -> None:
    service, whole = compose(RECIPE)
    assert service["image"] == "registry.example/team/one:1"
    assert service["command"] == ["python", "a train's.py", "--x=$$HOME", "--rate", "1e-3"]
    assert service["user"] == "12345:100"
    assert service["volumes"] == [
        {"type": "bind", "source": ".", "target": "/work"},
        "/data:/data:ro",
        "kept:/kept",
    ]
    assert service["environment"] == ["NAME=two words", "A=1=2"]
    assert service["ports"] == ["127.0.0.1:8888:8888", "22:22"]
    assert (service["working_dir"], service["shm_size"], service["tty"]) == ("/work", "8g", True)
    assert whole["volumes"] == {"kept": {"name": "kept"}}
    assert "pull_policy" not in service


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])))
def test_a_word_of_any_kind_stays_that_word(word: str) -> None:
    service, _ = compose(Recipe("registry.example/one:1", (word, word), environment=(f"A={word}",)))
    assert service["command"] == [word.replace("$", "$$")] * 2
    assert service["environment"] == [f"A={word}".replace("$", "$$")]


@pytest.mark.parametrize(
    ("cdi", "how"), [(False, {"driver": "nvidia", "count": "all"}), (True, {"device_ids": ["nvidia.com/gpu=all"]})]
)
def test_compose_gives_gpus_as_the_engine_hands_them_over(cdi: bool, how: dict[str, Any]) -> None:
    service, _ = compose(dataclasses.replace(RECIPE, cdi=cdi))
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert how.items() <= device.items()
    assert device["capabilities"] == ["gpu"]
    assert "deploy" not in compose(PLAIN)[0]


@pytest.mark.parametrize("network", ["host", "none", "container:other"])
def test_a_network_that_the_engine_has(network: str) -> None:
    service, whole = compose(dataclasses.replace(PLAIN, network=network))
    assert service["network_mode"] == network
    assert "networks" not in whole


def test_a_network_of_the_users_is_not_made_anew() -> None:
    service, whole = compose(dataclasses.replace(PLAIN, network="mine"))
    assert service["networks"] == ["mine"]
    assert whole["networks"] == {"mine": {"external": True}}


def test_an_image_that_is_here_is_not_pulled_and_has_its_home() -> None:
    service, _ = compose(dataclasses.replace(PLAIN, home=Path("/a: cache/home")))
    assert service["pull_policy"] == "never"
    assert service["volumes"][1] == {"type": "bind", "source": "/a: cache/home", "target": "/home/assay"}
    assert service["environment"] == ["HOME=/home/assay"]


def devcontainer(recipe: Recipe) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed("devcontainer", recipe))
    return found


def test_what_a_devcontainer_is() -> None:
    assert devcontainer(dataclasses.replace(RECIPE, network="host")) == {
        "image": "registry.example/team/one:1",
        "workspaceMount": 'type=bind,"source=${localWorkspaceFolder}",target=/work',
        "workspaceFolder": "/work",
        "remoteUser": "assay",
        "init": True,
        "runArgs": ["--shm-size=8g", "--network=host", "--volume=/data:/data:ro", "--volume=kept:/kept"],
        "containerEnv": {"NAME": "two words", "A": "1=2"},
        "appPort": ["127.0.0.1:8888:8888", "22:22"],
        "hostRequirements": {"gpu": True},
    }


def test_a_devcontainer_gets_gpus_as_it_is_asked() -> None:
    assert devcontainer(dataclasses.replace(PLAIN, gpu="optional"))["hostRequirements"] == {"gpu": "optional"}
    assert "hostRequirements" not in devcontainer(PLAIN)
    by_cdi = devcontainer(dataclasses.replace(PLAIN, gpu=True, cdi=True))
    assert "hostRequirements" not in by_cdi, "which are given by --gpus"
    assert "--device=nvidia.com/gpu=all" in by_cdi["runArgs"]


def test_root_works_as_root() -> None:
    assert devcontainer(dataclasses.replace(PLAIN, user="0:0"))["remoteUser"] == "root"
