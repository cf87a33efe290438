"""What a session is given beyond the folder, in docker's words; what docker would refuse is refused here, in ours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Self

from assay.engine import FOLDER, ports_of
from assay.errors import UsageError

Device = Literal["auto", "cpu", "gpu"]
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")  # of a volume, as docker has it


@dataclass(frozen=True)
class Given:
    """The options of a command that runs in an image: docker's own words, and docker's meaning."""

    device: Device = "auto"
    network: str | None = None
    environment: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()

    @classmethod
    def read(cls, **options: Any) -> Self:
        """What a command line says. Raises `UsageError` for what no engine could be told."""
        given = cls(**options)
        for word in given.environment:
            _check_variable(word)
        for word in given.volumes:
            _check_volume(word)
        for word in given.ports:
            _check_port(word)
        _check_once(_inside(word) for word in given.volumes)
        if given.network is not None and (not given.network.strip() or given.network.startswith("-")):
            raise _refused("--network", given.network, "the name of a network is wanted, or host, or none")
        return given

    def brings(self, place: str) -> bool:
        """Whether something is mounted at a place in the container."""
        return place in map(_inside, self.volumes)


def _refused(option: str, word: str, why: str) -> UsageError:
    how = {
        "-e": "It is -e NAME=VALUE, or -e NAME for the value that it has here.",
        "-v": "It is -v HOST:INSIDE or -v HOST:INSIDE:ro, where INSIDE is an absolute path.",
        "-p": "It is -p HOST:INSIDE, two numbers between 1 and 65535.",
        "--network": "`docker network ls` lists those that there are.",
    }
    return UsageError(f"{option} {word!r}: {why}", how[option])


def _check_variable(word: str) -> None:
    name = word.partition("=")[0]
    if not name:
        raise _refused("-e", word, "the variable has no name")
    if re.search(r"\s", name):
        raise _refused("-e", word, "the name of a variable has no spaces")


def _inside(word: str) -> str:
    """Where a volume is found in the container."""
    host, colon, rest = word.partition(":")
    return (rest.partition(":")[0] if colon else host).rstrip("/") or "/"


def _check_volume(word: str) -> None:
    host, colon, rest = word.partition(":")
    inside, _, options = rest.partition(":")
    if not (colon and host and inside):
        raise _refused("-v", word, "both places are wanted, with a colon between them")
    if not inside.startswith("/") or _inside(word) == "/":
        raise _refused("-v", word, f"{inside} is no absolute path of a folder in the container")
    if ":" in options or (":" in rest and not re.fullmatch(r"[a-zA-Z]+(,[a-zA-Z]+)*", options)):
        raise _refused("-v", word, f"{options!r} is no option of a volume")
    if host[0] not in "/." and not _NAME.fullmatch(host):
        raise _refused("-v", word, f"{host} is neither a path (./{host}) nor the name of a volume")


def _check_once(places: Iterable[str]) -> None:
    taken = {FOLDER: "the current folder is there"}
    for place in places:
        if place in taken:
            raise UsageError(f"-v ...:{place}: {taken[place]}", "Name another place in the container.")
        taken[place] = "it is named twice"


def _check_port(word: str) -> None:
    numbers = ports_of(word)
    if not numbers or not all(0 < number < 65536 for number in numbers):
        raise _refused("-p", word, "it names no ports")
