"""Reads and validates a plan: what the host says the image is, and what is to be checked. Standard library only."""

from __future__ import annotations

import ast
import json
import os
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from smoke import SUITE

SCHEMA = 1
BAKED = Path("/opt/assay/plan.json")
DEVICES = ("cpu", "gpu")
FRAMEWORKS = SUITE / "frameworks"
EVERYDAY = SUITE / "everyday"
RANKS = SUITE / "ranks"
LONGEST = 3600
# Each is a part of the batch that is trained on.
RANK_COUNTS = (2, 4, 8, 16, 32)
# Lines that no list of what may be written on standard error can have: a pattern that takes one takes too much.
NEVER_LISTED = ("Traceback (most recent call last):", "RuntimeError: out of order", "3 words here", "?")

# What a plan has only if there is something to say, each an object of texts.
_OPTIONAL = ("uncalled", "programs", "left_out")


class PlanError(Exception):
    """A plan that cannot be followed: what is wrong, and what to do."""

    def __init__(self, wrong: str, remedy: str) -> None:
        super().__init__(wrong)
        self.remedy = remedy


@dataclass(frozen=True)
class Plan:
    """One image's plan, schema 1. ``packages`` holds name -> version of every distribution in its lock.

    ``backends`` are those of a framework that leaves the computing to others: it is checked with each of them.
    ``stderr`` holds patterns of the lines that the framework may write there when it is first used; ``uncalled`` the
    libraries whose version call may crash without a driver, since nothing makes it then, each with the reason.
    ``programs`` are those that upstream left broken, each with the reason; ``left_out`` the framework's modules that
    import what the image has not, each with what adds it. ``ranks``: how many processes are to train as one on this
    host's CPU; 0: none were asked for.
    """

    image: str
    device: str
    framework: str
    module: str
    workloads: tuple[str, ...]
    labels: Mapping[str, str]
    packages: Mapping[str, str]
    seconds_per_check: int
    backends: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()
    uncalled: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    ranks: int = 0

    def as_json(self) -> dict[str, Any]:
        """The plan as it is written in a file."""
        backends = {"backends": list(self.backends)} if self.backends else {}
        optional = {"stderr": list(self.stderr), **{name: dict(getattr(self, name)) for name in _OPTIONAL}}
        return {
            "schema": SCHEMA,
            "image": self.image,
            "device": self.device,
            "framework": {"name": self.framework, "module": self.module, **backends},
            "workloads": list(self.workloads),
            "labels": dict(self.labels),
            "packages": dict(self.packages),
            "seconds_per_check": self.seconds_per_check,
            **{key: value for key, value in optional.items() if value},
            **({"ranks": self.ranks} if self.ranks else {}),
        }


def read(path: Path) -> Plan:
    """Reads a plan from a file. Raises PlanError if it is missing, no JSON, or not a plan."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as why:
        raise PlanError(f"no plan at {path} ({why.strerror})", "Name one with --plan FILE.") from None
    except ValueError as why:
        raise PlanError(f"{path} is not JSON: {why}", "Write the plan again.") from None
    return from_json(data)


def from_json(data: Any) -> Plan:
    """A plan from parsed JSON. Raises PlanError that names the key and what was expected of it."""
    known = {"schema", "image", "device", "framework", "workloads", "labels", "packages", "seconds_per_check"}
    _keys(data, known, "the plan", optional={"stderr", "ranks", *_OPTIONAL})
    if data["schema"] != SCHEMA or isinstance(data["schema"], bool):
        raise PlanError(
            "the plan has schema {!r}, this suite reads {}".format(data["schema"], SCHEMA),
            "Write the plan with the host tool that this suite belongs to.",
        )
    _keys(data["framework"], {"name", "module"}, "framework", optional={"backends"})
    return Plan(
        image=_text(data["image"], "image"),
        device=device(data["device"]),
        framework=_text(data["framework"]["name"], "framework.name"),
        module=_text(data["framework"]["module"], "framework.module"),
        workloads=_names(data["workloads"], "workloads"),
        labels=_texts(data["labels"], "labels"),
        packages=_texts(data["packages"], "packages"),
        seconds_per_check=_seconds(data["seconds_per_check"]),
        backends=_backends(data["framework"]),
        stderr=_patterns(data.get("stderr", [])),
        **{name: _texts(data.get(name, {}), name) for name in _OPTIONAL},
        ranks=ranks(data["ranks"], data["device"]) if "ranks" in data else 0,
    )


def device(name: Any) -> str:
    """``cpu`` or ``gpu``. Raises PlanError for anything else."""
    if name not in DEVICES:
        raise PlanError(f"device is {name!r}", 'Set device to "cpu" or "gpu".')
    return str(name)


def ranks(count: Any, device: str) -> int:
    """How many ranks. Raises PlanError for a number that cannot be, and for a GPU, where no ranks are tried yet."""
    if isinstance(count, bool) or count not in RANK_COUNTS:
        raise PlanError(f"ranks is {count!r}", "Set ranks to one of {}.".format(", ".join(map(str, RANK_COUNTS))))
    if device != "cpu":
        raise PlanError(f"{count} ranks were asked for on the device {device!r}", "Ranks train on the CPU only.")
    return int(count)


def frameworks() -> tuple[str, ...]:
    """The names of the frameworks that this suite can check, from the folder: in an image, that image's own."""
    return tuple(sorted(path.stem for path in FRAMEWORKS.glob("*.py") if not path.stem.startswith("_")))


def backend_environment(framework: str, backend: str) -> dict[str, str]:
    """What tells a framework which backend to import: KERAS_BACKEND=jax, say. Nothing where it has none."""
    return {framework.upper() + "_BACKEND": backend} if backend else {}


def process_environment(framework: str, temporary: str) -> dict[str, str]:
    """The variables that the framework's file wants in each process that trains: its switches of "environment".

    Of variables, these texts name TMPDIR, which is ``temporary``, and those of this process.
    """
    known = defaultdict(str, {**os.environ, "TMPDIR": temporary})
    told: tuple[str, ...] = declared(framework, "SWITCHES").get("environment", ())
    pairs = (one.split("=", maxsplit=1) for one in told)
    return {"TMPDIR": temporary, **{name: Template(value).substitute(known) for name, value in pairs}}


def chosen_backend(framework: str) -> str:
    """The backend that this process was told to use; empty where there is none to choose."""
    return os.environ.get(framework.upper() + "_BACKEND", "")


def declared(framework: str, constant: str) -> Any:
    """A literal constant of a framework's file, read without importing it (that takes seconds, or crashes)."""
    return literal(FRAMEWORKS / (framework + ".py"), constant)


def of_ranks(framework: str, constant: str) -> Any:
    """The same of the framework's file in ``smoke.ranks``."""
    return literal(RANKS / (framework + ".py"), constant)


def literal(file: Path, constant: str) -> Any:
    """A literal constant of a Python file, which is not run. Raises KeyError if it has none of that name."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == constant:
            return ast.literal_eval(node.value)  # type: ignore[attr-defined]
    raise KeyError(f"{file.stem} has no constant {constant}")


def _keys(data: Any, known: set[str], where: str, optional: Collection[str] = ()) -> None:
    if not isinstance(data, dict):
        raise PlanError(f"{where} is not an object", "Write it as a JSON object.")
    for key in sorted(known - set(data)):
        raise PlanError(f"{where} has no {key!r}", f"Add the key {key!r}.")
    for key in sorted(set(data) - known - set(optional)):
        raise PlanError(f"{where} has an unknown key {key!r}", f"Remove the key {key!r}.")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise PlanError(f"{where} is {value!r}", f"Set {where} to a text that is not empty.")
    return value


def _texts(value: Any, where: str) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise PlanError(f"{where} is not an object", f"Write {where} as an object of texts.")
    return {key: _text(one, f"{where}.{key}") for key, one in value.items()}


def _names(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise PlanError(f"{where} is not a list", f"Write {where} as a list of names.")
    names = tuple(_text(one, f"one of {where}") for one in value)
    if len(set(names)) != len(names):
        raise PlanError(f"one of {where} is named twice", "Name each once.")
    return names


def _backends(framework: Mapping[str, Any]) -> tuple[str, ...]:
    if "backends" not in framework:
        return ()
    names = _names(framework["backends"], "framework.backends")
    if not names or not all(name.isidentifier() for name in names):  # each becomes a part of ids, and a folder's name
        raise PlanError(f"framework.backends is {framework['backends']!r}", "Name each backend by its module.")
    return names


def _patterns(value: Any) -> tuple[str, ...]:
    patterns = _names(value, "stderr")
    try:
        for one in patterns:
            if any(re.fullmatch(one, line) for line in NEVER_LISTED):
                raise PlanError(f"one of stderr, {one!r}, takes whatever is written", "Write what the line says.")
    except (re.error, RecursionError) as why:
        raise PlanError(f"one of stderr is {one!r}: {why}", "Write it as a regular expression.") from None
    return patterns


def _seconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST:
        raise PlanError(
            f"seconds_per_check is {value!r}",
            f"Set seconds_per_check to a whole number from 1 to {LONGEST}.",
        )
    return value
