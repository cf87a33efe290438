"""An engine by the name of its Docker context, or by its address."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assay import engine
from assay.engine import choose, contexts
from assay.engine.embedded import EmbeddedEngine
from assay.errors import EngineMissing, UsageError
from assay.host import process
from assay.host.process import Completed
from tests.unit.engine.sdk import two_lines


class Answering:
    """An engine that answers, at an address, with what it lacks."""

    lacks: tuple[str, ...] = ()
    closed = False

    def __init__(self, kind: str, environment: Mapping[str, str], address: str, tls: Any = None) -> None:
        self.kind, self.environment, self.address, self.tls = kind, environment, address, tls

    def shortcomings(self) -> list[str]:
        return list(self.lacks)

    def close(self) -> None:
        Answering.closed = True


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What docker says of each context, by its name; buildx is there, and whatever is named answers."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("DOCKER_CONTEXT", "another")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    known: dict[str, str] = {}

    def run(argv: list[str], **_: object) -> Completed:
        if argv == ["docker", "buildx", "version"]:
            return Completed(0, "buildx", "")
        assert argv[:-1] == ["docker", "context", "inspect", "--"]
        name = argv[-1]
        return Completed(0, known[name], "") if name in known else Completed(1, "[]", f'context "{name}": not found')

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(contexts, "Engine", Answering)
    monkeypatch.setattr(Answering, "lacks", ())
    return known


def context(host: str, *files: str, skip: bool = False) -> str:
    """A context as docker writes it down."""
    endpoint = {"Host": host, "SkipTLSVerify": skip}
    material = {"docker": files} if files else {}
    storage = {"MetadataPath": "/d/meta/x", "TLSPath": "/d/tls/x"}
    described = {"Name": "n", "Metadata": {}, "Endpoints": {"docker": endpoint}, "TLSMaterial": material}
    return json.dumps([{**described, "Storage": storage}])


def test_a_context_by_its_name(docker: dict[str, str]) -> None:
    docker["big"] = context("ssh://big.example")
    found: Any = engine.at("big")
    assert (found.kind, found.address, found.tls) == ("system", "ssh://big.example", None)
    assert found.environment["DOCKER_HOST"] == "ssh://big.example"
    assert "DOCKER_CONTEXT" not in found.environment


def test_a_context_with_certificates(docker: dict[str, str], tmp_path: Path) -> None:
    made = {name: tmp_path / "tls/docker" / f"{name}.pem" for name in ("ca", "cert", "key")}
    for path in made.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    said = context("tcp://safe.example:2376", *(path.name for path in made.values()))
    docker["safe"] = said.replace("/d/tls/x", str(tmp_path / "tls"))
    found: Any = engine.at("safe")
    assert found.tls.cert == (str(made["cert"]), str(made["key"]))
    assert found.tls.ca_cert == str(made["ca"])
    assert found.environment["DOCKER_CERT_PATH"] == str(tmp_path / "tls/docker")
    assert found.environment["DOCKER_TLS_VERIFY"] == "1"


def test_an_address_and_the_default(docker: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.at("unix:///run/other.sock").address == "unix:///run/other.sock"
    assert engine.at("default").address == "unix:///var/run/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "tcp://there.example")
    assert engine.at("default").address == "tcp://there.example"


def test_the_embedded_engine_by_its_word_and_by_its_address(
    docker: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "find_embedded", lambda tell: "embedded")
    assert engine.at("embedded") == "embedded"
    assert engine.at(EmbeddedEngine.here().address) == "embedded"
    assert contexts.find_embedded is not choose.find_embedded


def test_a_docker_without_buildx_is_helped_out(docker: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "run", lambda *a, **k: Completed(1, "", "unknown command"))
    assert engine.at("ssh://big.example").environment["DOCKER_CONFIG"] == os.environ["DOCKER_CONFIG"]
    here = EmbeddedEngine.here()
    here.programs.mkdir(parents=True)
    environment = engine.at("ssh://big.example").environment
    assert environment["DOCKER_CONFIG"] == str(here.home / "client")
    assert environment["DOCKER_HOST"] == "ssh://big.example"


def test_there_is_no_such_context(docker: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="there is no Docker context 'bog'") as caught:
        engine.at("bog")
    two_lines(caught.value)


def test_a_context_that_cannot_be_read(docker: dict[str, str]) -> None:
    docker["big"] = '[{"Name": "big"}]'
    with pytest.raises(UsageError, match="the Docker context big cannot be read"):
        engine.at("big")


def test_nothing_answers(docker: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise EngineMissing("no container engine answers: refused", "Start one.")

    monkeypatch.setattr(contexts, "Engine", refuse)
    with pytest.raises(EngineMissing, match=r"tcp://gone\.example: no container engine answers: refused") as caught:
        engine.at("tcp://gone.example")
    assert "leave --on tcp://gone.example out" in caught.value.todo


def test_what_answers_will_not_do(docker: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answering, "lacks", ("it is version 20",))
    with pytest.raises(EngineMissing, match=r"tcp://old\.example will not do: it is version 20"):
        engine.at("tcp://old.example")
    assert Answering.closed
