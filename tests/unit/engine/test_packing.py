"""What of an image the embedded engine keeps unpacked, and until when."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from assay.engine import Engine
from assay.engine.docker import SNAPSHOT, chain_id
from assay.host.process import Completed
from tests.unit.engine.sdk import Client, Container, engine

LAYERS = ["sha256:" + "a" * 64, "sha256:" + "b" * 64]
CHAIN = "sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c"


class Known(Client):
    """A client that knows one image."""

    def get(self, reference: str) -> Any:
        return SimpleNamespace(attrs={"Id": "sha256:manifest", "RootFS": {"Layers": LAYERS}})

    def list(self) -> list[Any]:
        return [SimpleNamespace(name="b"), SimpleNamespace(name="a")]


def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What containerd is asked for."""
    seen: list[tuple[str, ...]] = []

    def ctr(self: Engine, *arguments: str) -> Completed:
        seen.append(arguments)
        return Completed(0, "", "")

    monkeypatch.setattr(Engine, "ctr", ctr)
    monkeypatch.setattr(Engine, "manifest", lambda self, digest, reference: {"config": {"digest": "sha256:config"}})
    return seen


def local(kind: str) -> Engine:
    made = engine(Known(Container()))
    made.kind = kind
    return made


def test_the_name_of_a_snapshot() -> None:
    assert chain_id(LAYERS[:1]) == LAYERS[0]
    assert chain_id(LAYERS) == CHAIN


def test_what_is_held_is_kept_by_its_own_label_until_it_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = asked(monkeypatch)
    embedded = local("embedded")
    embedded.hold("assay/x:latest")
    embedded.pack(["assay/x:latest"])
    label = ("content", "label", "sha256:config")
    assert seen[:2] == [(*label, f"{SNAPSHOT}={CHAIN}"), (*label, f"{SNAPSHOT}=")]


def test_another_engine_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = asked(monkeypatch)
    system = local("system")
    system.hold("assay/x:latest")
    system.pack(["assay/x:latest"])
    assert seen == []


def test_what_runs_now() -> None:
    assert local("embedded").running() == ["a", "b"]
