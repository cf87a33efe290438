"""`assay run --print`: what is printed, where, and that no engine is started for it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from assay import engine
from tests.unit.cli.ran import Ran, raising

REF = "registry.example/team/one:1"


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded engine, which does not run and must not be started."""
    monkeypatch.setattr(engine, "find", raising(AssertionError("an engine was started")))
    monkeypatch.setattr("assay.engine.choose.find", raising(AssertionError("an engine was started")))
    now = engine.Status(None, (), False, True, "embedded")
    monkeypatch.setattr("assay.engine.choose.status", lambda: now)


@pytest.mark.usefixtures("stopped")
def test_nothing_is_started_for_a_line(assay_: Callable[..., Ran]) -> None:
    assay_("run", "--print", "docker", "torchy", "python").refused(3, "does not run", "assay engine up")
    assay_("run", "--print", "podman", "torchy", "python").refused(2, "podman takes an image from a registry")
    ran = assay_("run", "--print", "docker", REF, "python", "train.py")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("docker run -i --rm --init "), "there is no terminal here"


@pytest.mark.usefixtures("stopped")
def test_a_job_says_that_it_does_not_carry_the_folder(assay_: Callable[..., Ran]) -> None:
    ran = assay_("run", "--print", "kubernetes", REF, "smoke", "--device", "gpu")
    assert json.loads(ran.out)["spec"]["template"]["spec"]["containers"][0]["args"] == ["smoke", "--device", "gpu"]
    assert "the Job does not carry the current folder" in ran.err
