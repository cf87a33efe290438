"""Which engine is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assay import engine
from assay.engine import apt, choose
from assay.engine.embedded import EmbeddedEngine
from assay.errors import EngineMissing, UsageError
from assay.host import machine, process
from assay.host.process import Completed


class Answering:
    """An engine that answers, with these shortcomings."""

    version = "28.5.2"

    def __init__(self, *lacks: str, gpu_access: str | None = None) -> None:
        self.lacks = list(lacks)
        self.access = gpu_access

    def shortcomings(self) -> list[str]:
        return self.lacks

    def gpu_access(self) -> str | None:
        return self.access

    def close(self) -> None:
        pass


def answers(monkeypatch: pytest.MonkeyPatch, system: Answering | None) -> None:
    """Let this engine, or none, answer at DOCKER_HOST; the embedded one answers where it was started."""

    def connect(kind: str, environment: Mapping[str, str], address: str | None) -> Any:
        if kind == "embedded":
            return kind
        assert environment["DOCKER_HOST"] == address == "tcp://docker.example"
        if system is None:
            raise EngineMissing("refused", "")
        return system

    monkeypatch.setattr(choose, "Engine", connect)


@pytest.fixture
def choosing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine whose docker command has no context, and which can have an embedded engine."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "tcp://docker.example")
    monkeypatch.delenv("ASSAY_ENGINE", raising=False)
    monkeypatch.setattr(process, "run", lambda *a, **k: Completed(127, "", "docker: not found"))
    monkeypatch.setattr(EmbeddedEngine, "up", lambda *_: None)
    monkeypatch.setattr(apt, "available", lambda: True)
    monkeypatch.setattr(apt, "host_codename", lambda: "bookworm")
    return monkeypatch


@pytest.mark.parametrize(
    ("choice", "system", "used"),
    [
        ("auto", Answering(), "system"),
        ("auto", Answering("it is old"), "embedded"),
        ("auto", None, "embedded"),
        ("embedded", Answering(), "embedded"),
        ("system", Answering(), "system"),
    ],
)
def test_which_engine_is_used(choosing: pytest.MonkeyPatch, choice: str, system: Answering | None, used: str) -> None:
    choosing.setenv("ASSAY_ENGINE", choice)
    answers(choosing, system)
    assert engine.find() == (system if used == "system" else "embedded")
    assert engine.status().used == used


@pytest.mark.parametrize(
    ("choice", "possible", "system", "words"),
    [
        ("auto", False, None, "no container engine answers"),
        ("system", True, None, "no container engine answers"),
        ("auto", False, Answering("it is old", "no buildx"), "will not do: it is old; no buildx"),
        ("embedded", False, Answering(), "no container engine answers"),
    ],
)
def test_no_engine_at_all(
    choosing: pytest.MonkeyPatch, choice: str, possible: bool, system: Answering | None, words: str
) -> None:
    choosing.setenv("ASSAY_ENGINE", choice)
    choosing.setattr(apt, "available", lambda: possible)
    answers(choosing, system)
    with pytest.raises(EngineMissing) as caught:
        engine.find()
    assert words in caught.value.what
    assert len(str(caught.value).splitlines()) == 2
    assert engine.status().used is None


def test_a_choice_that_there_is_not(choosing: pytest.MonkeyPatch) -> None:
    choosing.setenv("ASSAY_ENGINE", "podman")
    with pytest.raises(UsageError, match="ASSAY_ENGINE is 'podman'"):
        engine.find()


def test_a_shell_that_leads_docker_to_the_embedded_engine_has_no_system_engine(choosing: pytest.MonkeyPatch) -> None:
    choosing.setenv("DOCKER_HOST", EmbeddedEngine.here().address)
    choosing.setattr(choose, "Engine", lambda kind, *_: kind)
    assert engine.find() == "embedded"
    assert engine.status().system is None


def test_an_engine_that_runs_already_is_found_and_none_is_started(choosing: pytest.MonkeyPatch) -> None:
    answers(choosing, None)
    choosing.setattr(EmbeddedEngine, "up", lambda *_: pytest.fail("it was started"))
    with pytest.raises(EngineMissing, match="the embedded engine does not run"):
        engine.find_running()
    choosing.setattr(EmbeddedEngine, "pid", lambda _: 1)
    choosing.setattr(EmbeddedEngine, "up", lambda *_: None)
    assert engine.find_running() == "embedded"
    system = Answering()
    answers(choosing, system)
    assert engine.find_running() == system


def test_a_socket_that_is_not_there(choosing: pytest.MonkeyPatch, tmp_path: Path) -> None:
    choosing.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    choosing.setattr(choose, "Engine", lambda kind, *_: kind)
    assert engine.find() == "embedded"


def test_how_gpus_are_handed_over(choosing: pytest.MonkeyPatch) -> None:
    answers(choosing, Answering(gpu_access="nvidia-runtime"))
    assert engine.status().gpu_access == "nvidia-runtime"
    answers(choosing, Answering("it is old", gpu_access="nvidia-runtime"))
    choosing.setattr(machine, "cdi_specifications", lambda: True)
    assert engine.status().gpu_access == "cdi"
    choosing.setattr(machine, "cdi_specifications", lambda: False)
    assert engine.status().gpu_access is None
    choosing.setattr(apt, "available", lambda: False)
    assert engine.status().gpu_access is None
