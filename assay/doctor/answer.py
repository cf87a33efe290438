"""Which image runs here: the answer to that for each image that has a certificate, and the command that runs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from assay.catalog.built import PREFIX
from assay.doctor.compatibility import Answer, Certified, Machine, judge, order
from assay.doctor.cuda import dotted
from assay.doctor.facts import ELSEWHERE, REMEDY, Gathered
from assay.doctor.finding import Finding
from assay.doctor.machine import Surroundings, Tools, findings
from assay.engine import Recipe, printed
from assay.errors import VerificationFailed

SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """An image with its answer, and the command that runs it; None where nothing here can."""

    image: Certified
    answer: Answer
    command: str | None


@dataclass(frozen=True)
class Diagnosis:
    """The whole answer, for this machine (``here``) or a described one. The image that is best to use comes first.

    ``unusable`` are (certificate, what is wrong) pairs.
    """

    machine: Machine
    here: bool
    findings: tuple[Finding, ...]
    rows: tuple[Row, ...]
    unusable: tuple[tuple[str, str], ...]


def diagnose(gathered: Gathered, machine: Machine | None = None, found: Iterable[Finding] = ()) -> Diagnosis:
    """The answer for ``machine``, of which ``found`` is said; without one, for this machine, which is looked at."""
    if machine is None:
        around = Surroundings.here()
        rows, unusable = _rows(gathered, around.machine(), around.tools())
        return Diagnosis(around.machine(), True, tuple(findings(around)), rows, unusable)
    rows, unusable = _rows(gathered, machine, Tools(docker=("docker",), gpu_access="nvidia-runtime"))
    return Diagnosis(machine, False, tuple(found), rows, unusable)


def _rows(gathered: Gathered, machine: Machine, tools: Tools) -> tuple[tuple[Row, ...], tuple[tuple[str, str], ...]]:
    images, unusable = gathered
    fitting = {image.image for image in images if image.architecture == machine.architecture}
    images = [one for one in images if one.architecture == machine.architecture or one.image not in fitting]
    answers = sorted(((image, judge(machine, image)) for image in images), key=lambda pair: order(*pair))
    return tuple(Row(image, answer, command(image, answer, tools)) for image, answer in answers), tuple(unusable)


def command(image: Certified, answer: Answer, tools: Tools) -> str | None:
    """The command that starts Python in the image, with what is installed here.

    None where it does not run, or where neither the image nor its registry is known here.
    """
    if answer.runs == "no":
        return None
    if image.reference.startswith(f"{PREFIX}/"):
        return f"assay run {image.image} python"
    if image.reference.startswith(f"{ELSEWHERE}/"):
        return None
    tool = "docker" if tools.docker else "podman" if tools.podman else "apptainer" if tools.apptainer else "docker"
    recipe = Recipe(image.reference, ("python",), gpu=answer.runs == "gpu")
    if tools.docker:
        cdi = tools.gpu_access == "cdi"
        recipe = dataclasses.replace(recipe, docker=tools.docker, network=tools.network, cdi=cdi)
    return printed(tool, recipe)


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The answer as plain data (schema 1)."""
    machine = diagnosis.machine
    return {
        "schema": SCHEMA,
        "machine": {
            "here": diagnosis.here,
            "architecture": machine.architecture,
            "driver": dotted(machine.driver) if machine.driver else None,
            "windows": machine.windows,
            "cuda": dotted(machine.cuda) if machine.cuda else None,
            "serves": machine.drivers.serves(machine.driver) if machine.driver else None,
            "gpus": [
                {"name": gpu.name, "compute_capability": dotted(gpu.capability), "memory_bytes": gpu.memory or None}
                for gpu in machine.gpus
            ],
        },
        "findings": [asdict(finding) for finding in diagnosis.findings],
        "images": [_row(row) for row in diagnosis.rows],
        "unusable": [{"certificate": name, "problem": problem} for name, problem in diagnosis.unusable],
    }


def _row(row: Row) -> dict[str, Any]:
    image = row.image
    return {
        "image": image.image,
        "digest": image.digest,
        "runs": row.answer.runs,
        "why": row.answer.why,
        "notes": list(row.answer.notes),
        "command": row.command,
        "framework": image.framework,
        "python": image.python,
        "cuda": dotted(image.cuda) if image.cuda else None,
        "ended": image.ended or None,
        "levels": dict(image.levels),
        "served": {
            "wholly": [dotted(gpu) for gpu in sorted(image.wholly)],
            "partly": [dotted(gpu) for gpu in sorted(image.partly)],
        },
    }


def require_usable(diagnosis: Diagnosis) -> None:
    """Raise `VerificationFailed` (exit 5) if a certificate was of no use."""
    if diagnosis.unusable:
        name, problem = diagnosis.unusable[0]
        more = f", and {len(diagnosis.unusable) - 1} more" if len(diagnosis.unusable) > 1 else ""
        raise VerificationFailed(f"{name} says nothing: {problem}{more}", REMEDY)
