"""A session in words that no tool has to itself: what the lines and the files for other tools are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assay.errors import UsageError

SHM = "8g"
GPUS = "nvidia.com/gpu=all"  # what CDI calls all of them


@dataclass(frozen=True)
class Recipe:
    """An image and a command. ``environment``, ``volumes`` and ``ports`` are in docker's words.

    ``docker`` are the words that a command of docker begins with; ``cdi`` says that it hands over GPUs by CDI. A file
    has no shell that could ask who calls: it names ``user``. An image that is here, and that no registry has to have,
    comes with a ``home`` of this machine.
    """

    image: str
    command: tuple[str, ...]
    gpu: bool | Literal["optional"] = False
    network: str | None = None
    environment: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    terminal: bool = True
    docker: tuple[str, ...] = ("docker",)
    cdi: bool = False
    user: str = "1000:1000"
    home: Path | None = None


def refuse(tool: str, **asked: Sequence[str]) -> None:
    """Raise `UsageError` where something is asked for that a tool cannot be told."""
    names = {"ports": "-p", "volumes": "-v", "network": "--network"}
    for name, values in asked.items():
        if values:
            raise UsageError(f"{names[name]} cannot be said to {tool}", f"Leave {names[name]} out.")
