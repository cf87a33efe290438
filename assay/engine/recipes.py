"""The same session in the words of other tools: a line to paste, or a file. Nothing is run here.

What stands in double quotes is for the shell of whoever pastes the line: his folder, his user id.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from assay.engine import manifests
from assay.engine.recipe import GPUS, SHM, Recipe, csv_line, refuse
from assay.engine.sessions import FOLDER
from assay.errors import UsageError

ME = '"$(id -u):$(id -g)"'
CDI = f"--device {GPUS}"
HERE = f'"$PWD:{FOLDER}"'
RANKS = Path(__file__).with_name("ranks.sh")


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


def _apptainer(recipe: Recipe, tool: str = "apptainer") -> str:
    refuse(tool, ports=recipe.ports, network=(recipe.network,) if recipe.network else ())
    # By --env, some commas and quotes of a value would be Apptainer's own.
    variables = [f"APPTAINERENV_{word}" for word in recipe.environment]
    mounts = [f"--mount {shlex.quote(_mount(volume, tool))}" for volume in recipe.volumes]
    return " ".join(
        [
            *([f"env {_words(variables)}"] if variables else []),
            *("apptainer run --cleanenv", *(["--nv"] if recipe.gpu else [])),
            *(f"--bind {HERE}", *mounts, f"--pwd {FOLDER}"),
            *(shlex.quote(f"docker://{recipe.image}"), _words(recipe.command)),
        ]
    )


def _mount(volume: str, tool: str) -> str:
    """A volume as docker has it, in the words of Apptainer: a line of CSV."""
    host, _, rest = volume.partition(":")
    inside, _, options = rest.partition(":")
    if not host.startswith(("/", ".")):
        raise UsageError(f"{tool} has no volumes by name, such as {host}", f"Name a folder: -v ./{host}:{inside}")
    words = {option for option in options.split(",") if option} - {"rw", "z", "Z"}  # what Apptainer does anyhow
    if words - {"ro"}:
        raise UsageError(f"-v {volume}: {tool} knows no {', '.join(sorted(words - {'ro'}))}", "It knows ro.")
    return csv_line(["type=bind", f"source={host}", f"destination={inside}", *sorted(words)])


def _slurm(recipe: Recipe) -> str:
    command = _apptainer(recipe, "slurm")
    if recipe.nodes == 1:
        return " ".join(["srun", *(["--gpus=1"] if recipe.gpu else []), command])
    step = ["srun", f"--nodes={recipe.nodes}", "--ntasks-per-node=1", *(["--gpus-per-task=1"] if recipe.gpu else [])]
    return " ".join([*step, "sh -c", shlex.quote(RANKS.read_text(encoding="utf-8")), "ranks", command])


TOOLS: Mapping[str, Callable[[Recipe], str]] = {
    "docker": _docker,
    "podman": _podman,
    "apptainer": _apptainer,
    "slurm": _slurm,
    "kubernetes": manifests.kubernetes,
    "compose": manifests.compose,
    "devcontainer": manifests.devcontainer,
}


def printed(tool: str, recipe: Recipe) -> str:
    """The line or the file of a tool. Raises `UsageError` for what the tool cannot be told."""
    return TOOLS[tool](recipe)
