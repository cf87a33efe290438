"""The same session as a file: Kubernetes' Job, a Compose file, a devcontainer.json."""

from __future__ import annotations

import json
from typing import Any

from assay.engine.recipe import GPUS, SHM, Recipe, refuse
from assay.engine.sessions import FOLDER, HOME

_MODES = ("bridge", "host", "none")  # networks that each engine has


def _variables(recipe: Recipe) -> dict[str, str]:
    pairs = (word.partition("=") for word in recipe.environment)
    return {name: value for name, _, value in pairs}


def kubernetes(recipe: Recipe) -> str:
    """A Job. The folder of whoever calls is not on the cluster, so the working folder is an empty one."""
    network = (recipe.network,) if recipe.network else ()
    refuse("kubernetes", ports=recipe.ports, network=network)
    todo = "Leave -v out, and put a volume of the cluster in place of the `emptyDir` called work."
    refuse("kubernetes", todo, volumes=recipe.volumes)
    variables = {"HOME": HOME, **_variables(recipe)}
    container: dict[str, Any] = {
        "name": "session",
        "image": recipe.image,
        "args": list(recipe.command),
        "workingDir": FOLDER,
        "env": [{"name": name, "value": value} for name, value in variables.items()],
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


def compose(recipe: Recipe) -> str:
    """A Compose file with one service. Its folder is the one that the file is in.

    The values are JSON, which YAML takes as it is: so no word is read as a number or as a yes.
    """
    service: dict[str, Any] = {
        "image": recipe.image,
        **({"pull_policy": "never"} if recipe.home else {}),
        "command": list(recipe.command),
        "init": True,
        "stdin_open": True,
        "tty": True,
        "user": recipe.user,
        "working_dir": FOLDER,
        "volumes": [_bind(".", FOLDER), *_home(recipe), *recipe.volumes],
        "environment": [*([f"HOME={HOME}"] if recipe.home else []), *recipe.environment],
        "shm_size": SHM,
        "ports": list(recipe.ports),
        **_network(recipe),
    }
    if recipe.gpu:
        gpus = {"driver": "cdi", "device_ids": [GPUS]} if recipe.cdi else {"driver": "nvidia", "count": "all"}
        service["deploy"] = {"resources": {"reservations": {"devices": [{**gpus, "capabilities": ["gpu"]}]}}}
    text = "".join(["services:\n  session:\n", *_lines(service, 4), *_lines(_outside(recipe), 0)])
    return text.rstrip("\n").replace("$", "$$")  # a dollar begins a variable


def _lines(values: dict[str, Any], indent: int) -> list[str]:
    """YAML, a line for each value that is not empty."""
    return [
        f"{' ' * indent}{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items() if value
    ]


def _bind(source: str, target: str) -> dict[str, str]:
    return {"type": "bind", "source": source, "target": target}


def _home(recipe: Recipe) -> list[dict[str, str]]:
    return [_bind(str(recipe.home), HOME)] if recipe.home else []


def _network(recipe: Recipe) -> dict[str, Any]:
    if recipe.network is None:
        return {}
    is_mode = recipe.network in _MODES or ":" in recipe.network
    return {"network_mode": recipe.network} if is_mode else {"networks": [recipe.network]}


def _outside(recipe: Recipe) -> dict[str, Any]:
    """What docker has by a name, and Compose would else make anew under a name of its own."""
    volumes = [volume.partition(":")[0] for volume in recipe.volumes if ":" in volume]
    return {
        "networks": {name: {"external": True} for name in _network(recipe).get("networks", ())},
        "volumes": {name: {"name": name} for name in volumes if name[:1] not in "/.~"},
    }


def devcontainer(recipe: Recipe) -> str:
    """A devcontainer.json. It has no command, and no home of this machine: its container is kept between two uses."""
    network = [f"--network={recipe.network}"] if recipe.network else []
    by_cdi = bool(recipe.gpu and recipe.cdi)
    wanted: dict[str, Any] = {
        "image": recipe.image,
        # A line of CSV: the folder may have commas in its name.
        "workspaceMount": f'type=bind,"source=${{localWorkspaceFolder}}",target={FOLDER}',
        "workspaceFolder": FOLDER,
        # The user of the image gets the number of whoever opens the folder, but for root, who has his already.
        "remoteUser": "root" if recipe.user.startswith("0:") else "assay",
        "init": True,
        "runArgs": [
            f"--shm-size={SHM}",
            *network,
            *([f"--device={GPUS}"] if by_cdi else []),
            *(f"--volume={volume}" for volume in recipe.volumes),
        ],
        "containerEnv": _variables(recipe),
        "appPort": list(recipe.ports),
        "hostRequirements": {} if by_cdi or not recipe.gpu else {"gpu": recipe.gpu},
    }
    return json.dumps({name: value for name, value in wanted.items() if value}, indent=1)
