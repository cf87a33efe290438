"""The Docker SDK, as far as it is used: what each call does is set by the test."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import docker
import pytest
import requests

from assay.engine import Engine
from assay.errors import AssayError


class Container:
    """A container of the SDK: what each call does is set by the test."""

    def __init__(self, status: int | Exception = 0, oom: bool = False) -> None:
        self.calls: list[str] = []
        self.status = status
        self.attrs = {"State": {"OOMKilled": oom}}
        self.start_error: Exception | None = None
        self.kill_error: Exception | None = None

    def start(self) -> None:
        self.calls.append("start")
        if self.start_error:
            raise self.start_error

    def wait(self, timeout: float) -> dict[str, int]:
        self.calls.append("wait")
        if isinstance(self.status, Exception) and "kill" not in self.calls:
            raise self.status
        return {"StatusCode": 137 if isinstance(self.status, Exception) else self.status}

    def kill(self) -> None:
        self.calls.append("kill")
        if self.kill_error:
            raise self.kill_error

    def reload(self) -> None:
        self.calls.append("reload")

    def logs(self, tail: int) -> bytes:
        return b"x" * 90000 + b"\xffend"

    def remove(self, force: bool, v: bool) -> None:
        self.calls.append("remove")


class Client:
    """The SDK's client, as far as it is used here."""

    def __init__(self, container: Container | Exception) -> None:
        self.container = container
        self.created: list[tuple[str, list[str], dict[str, Any]]] = []
        self.alive = True
        self.facts: dict[str, Any] = {}
        self.number = "28.5.2"
        self.api = SimpleNamespace(base_url="http+docker://fake")
        self.containers = self
        self.images = self

    def version(self) -> dict[str, str]:
        return {"Version": self.number}

    def info(self) -> dict[str, Any]:
        return self.facts

    def close(self) -> None:
        pass

    def create(self, image: str, command: list[str], **options: Any) -> Container:
        self.created.append((image, command, options))
        if isinstance(self.container, Exception):
            raise self.container
        return self.container

    def get(self, reference: str) -> Any:
        assert isinstance(self.container, Exception)
        raise self.container

    def ping(self) -> bool:
        if not self.alive:
            raise requests.ConnectionError("refused")
        return True


def engine(client: Client | None = None, number: str = "28.5.2", **info: Any) -> Engine:
    """An engine whose SDK answers with this client; ``info`` is what it says of itself."""
    client = client or Client(Container())
    client.facts, client.number = info, number
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker, "DockerClient", lambda **_: client)
        return Engine("system", {}, "unix:///fake.sock")


def two_lines(error: AssayError) -> str:
    assert len(str(error).splitlines()) == 2
    return str(error)
