"""What nvidia-smi printed on machines elsewhere (tests/unit/data/README.md says where), and how an answer is read."""

from __future__ import annotations

from pathlib import Path

from assay.doctor import Finding, Machine
from assay.doctor.cuda import dotted

RECORDED = {path.stem: path.read_text() for path in (Path(__file__).parents[1] / "data/nvidia-smi").glob("*.txt")}


def gpus(machine: Machine) -> list[str]:
    """As text: name, compute capability, GiB of memory."""
    return [f"{gpu.name}: {dotted(gpu.capability)}, {round(gpu.memory / 2**30)}" for gpu in machine.gpus]


def found(findings: list[Finding], identity: str) -> list[str]:
    """What is said under an id: state and message."""
    return [f"{one.state}: {one.message}" for one in findings if one.id == identity]
