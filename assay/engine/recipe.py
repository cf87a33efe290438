"""A session in words that no tool has to itself: what the lines and the files for other tools are made of."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from docker.utils.ports import split_port

from assay.errors import UsageError

SHM = "8g"
GPUS = "nvidia.com/gpu=all"  # what CDI calls all of them


@dataclass(frozen=True)
class Recipe:
    """An image and a command. ``environment``, ``volumes`` and ``ports`` are in docker's words.

    ``docker`` are the words that a command of docker begins with; ``cdi`` says that it hands over GPUs by CDI. A file
    has no shell that could ask who calls: it names ``user``. An image that is here, and that no registry has to have,
    comes with a ``home`` of this machine. ``nodes`` of a cluster each run the command, as ranks that find each other.
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
    nodes: int = 1


def refuse(tool: str, todo: str = "", **asked: Sequence[str]) -> None:
    """Raise `UsageError` where something is asked for that a tool cannot be told."""
    names = {"ports": "-p", "volumes": "-v", "network": "--network"}
    for name, values in asked.items():
        if values:
            raise UsageError(f"{names[name]} cannot be said to {tool}", todo or f"Leave {names[name]} out.")


def csv_line(fields: Sequence[str]) -> str:
    """What docker and Apptainer take after --mount: a line of CSV, so a name may have commas, colons and quotes."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def ports_of(word: str) -> list[int]:
    """The ports that docker's `-p` names, inside and outside, such as `127.0.0.1:8000-8001:80-81/tcp`; none if it is
    no such word."""
    try:
        inside, outside = split_port(word)
        places = [place[1] if isinstance(place, tuple) else place for place in (*inside, *(outside or ()))]
        return [int(part) for place in places if place for part in place.partition("/")[0].split("-")]
    except ValueError:
        return []
