"""`assay engine`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from assay import engine
from assay.engine.embedded import EmbeddedEngine
from tests.unit.cli.ran import Ran


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (
            engine.Status("28.5.2", (), False, True, "system"),
            ["docker 28.5.2\n", "stopped", "used             system"],
        ),
        (engine.Status("20.1", ("it is old",), True, True, "embedded"), ["will not do: it is old", "running"]),
        (engine.Status(None, (), False, False, None), ["none answers", "not possible here", "used             none"]),
    ],
)
def test_engine_status(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, now: engine.Status, words: list[str]
) -> None:
    monkeypatch.setattr(engine, "status", lambda: now)
    ran = assay_("engine", "status")
    assert ran.code == 0
    for word in words:
        assert word in ran.out
    rows = json.loads(assay_("engine", "status", "--json").out)
    assert rows["used"] == now.used
    assert rows["system_lacks"] == list(now.system_lacks)


def test_engine_env(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "status", lambda: engine.Status("28.5.2", (), False, True, "system"))
    ran = assay_("engine", "env")
    assert (ran.code, ran.out) == (0, "")
    assert "nothing to set" in ran.err
    monkeypatch.setattr(engine, "status", lambda: engine.Status(None, (), False, True, "embedded"))
    assay_("engine", "env").refused(3, "no engine has been unpacked")
    monkeypatch.setattr(EmbeddedEngine, "exports", lambda self: "export A=1")
    ran = assay_("engine", "env")
    assert (ran.code, ran.out) == (0, "export A=1\n")
    assert "assay engine up" in ran.err
    monkeypatch.setattr(engine, "status", lambda: engine.Status(None, (), False, False, None))
    assay_("engine", "env").refused(3, "no container engine answers")


def test_the_other_engine_commands(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    assert assay_("engine", "up").out == "docker 28 (fake): up\n"
    assert assay_("engine", "prune").out == "2.00 MB freed\n"
    assert assay_("engine", "down").out == "it was not running\n"
    monkeypatch.setattr(EmbeddedEngine, "down", lambda self: True)
    assert assay_("engine", "down").out == "stopped\n"
