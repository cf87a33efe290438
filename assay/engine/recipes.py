"""The same session in the words of other tools: a line to paste, or a file. Nothing is run here.

What stands in double quotes is for the shell of whoever pastes the line: his folder, his user id.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.engine.sessions import FOLDER, HOME
from assay.errors import UsageError

SHM = "8g"
ME = '"$(id -u):$(id -g)"'
CDI = "--device nvidia.com/gpu=all"
HERE = f'"$PWD:{FOLDER}"'


@dataclass(frozen=True)
class Recipe:
    """An image and a command. ``environment``, ``volumes`` and ``ports`` are in docker's words.

    ``docker`` are the words that a command of docker begins with; ``cdi`` says that it hands over GPUs by CDI.
    """

    image: str
    command: tuple[str, ...]
    gpu: bool = False
    network: str | None = None
    environment: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    terminal: bool = True
    docker: tuple[str, ...] = ("docker",)
    cdi: bool = False


def _words(words: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [f"{option} {shlex.quote(value)}" for value in values]


def _options(recipe: Recipe) -> list[str]:
    """What docker and podman take alike."""
    network = [f"--network {shlex.quote(recipe.network)}"] if recipe.network else []
    return [
        *(f"--shm-size {SHM}", f"--volume {HERE}", f"--workdir {FOLDER}"),
        *network,
        *_each("--env", recipe.environment),
        *_each("--volume", recipe.volumes),
        *_each("--publish", recipe.ports),
        shlex.quote(recipe.image),
        _words(recipe.command),
    ]


def _run(recipe: Recipe) -> str:
    """How docker and podman begin; without a terminal they refuse to give one to the container."""
    return f"run {'-it' if recipe.terminal else '-i'} --rm --init"


def _docker(recipe: Recipe) -> str:
    gpus = CDI if recipe.cdi else "--gpus all"
    run = [_words(recipe.docker), _run(recipe), *([gpus] if recipe.gpu else [])]
    return " ".join([*run, f"--user {ME}", *_options(recipe)])


def _podman(recipe: Recipe) -> str:
    gpu = [CDI] if recipe.gpu else []
    # The user of the host keeps his number, so that his files are his; SELinux would hide folder and GPU.
    mine = ["--userns keep-id", f"--user {ME}", "--security-opt label=disable"]
    return " ".join(["podman", _run(recipe), *gpu, *mine, *_options(recipe)])


def _apptainer(recipe: Recipe) -> str:
    _refuse("apptainer", ports=recipe.ports, network=(recipe.network,) if recipe.network else ())
    binds = [f"--bind {HERE}", *_each("--bind", recipe.volumes)]
    words = ["apptainer run --cleanenv", *(["--nv"] if recipe.gpu else []), *binds, f"--pwd {FOLDER}"]
    return " ".join([*words, *_each("--env", recipe.environment), f"docker://{recipe.image}", _words(recipe.command)])


def _slurm(recipe: Recipe) -> str:
    return " ".join(["srun", *(["--gpus=1"] if recipe.gpu else []), _apptainer(recipe)])


def _kubernetes(recipe: Recipe) -> str:
    """A Job. The folder of whoever calls is not on the cluster, so the working folder is an empty one."""
    _refuse("kubernetes", ports=recipe.ports, volumes=recipe.volumes)
    container: dict[str, Any] = {
        "name": "session",
        "image": recipe.image,
        "args": list(recipe.command),
        "workingDir": FOLDER,
        "env": [{"name": "HOME", "value": HOME}, *map(_variable, recipe.environment)],
        "volumeMounts": [
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - the container's own
            {"name": "work", "mountPath": FOLDER},
            {"name": "home", "mountPath": HOME},
        ],
    }
    if recipe.gpu:
        container["resources"] = {"limits": {"nvidia.com/gpu": 1}}
    pod = {
        "restartPolicy": "Never",
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000},
        "containers": [container],
        "volumes": [
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
            {"name": "work", "emptyDir": {}},
            {"name": "home", "emptyDir": {}},
        ],
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": "assay-"},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }
    return json.dumps(job, indent=1)


def _variable(word: str) -> dict[str, str]:
    name, _, value = word.partition("=")
    return {"name": name, "value": value}


def _refuse(tool: str, **asked: Sequence[str]) -> None:
    names = {"ports": "-p", "volumes": "-v", "network": "--network"}
    for name, values in asked.items():
        if values:
            raise UsageError(f"{names[name]} cannot be said to {tool} in one line", f"Leave {names[name]} out.")


TOOLS: Mapping[str, Callable[[Recipe], str]] = {
    "docker": _docker,
    "podman": _podman,
    "apptainer": _apptainer,
    "slurm": _slurm,
    "kubernetes": _kubernetes,
}


def printed(tool: str, recipe: Recipe) -> str:
    """The line or the file of a tool. Raises `UsageError` for what the tool cannot be told."""
    return TOOLS[tool](recipe)
