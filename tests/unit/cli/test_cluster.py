"""`assay smoke --on`: what it takes, and what it refuses before anything is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay import build, certify, cluster
from tests.unit.cli.ran import Ran

TO = ("--registry", "registry.example/team")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--registry", "registry.example/team"), "--registry is about a cluster, and none is named"),
        (("--partition", "a100"), "--partition is about a cluster"),
        (("--start-within", "5"), "--start-within is about a cluster"),
        (("--print",), "--print is about a cluster"),
        (("--on", "slurm"), "slurm takes images from a registry, and none is named"),
        (("--on", "slurm", *TO, "--pack"), "--pack is about this machine's engine"),
        (("--on", "slurm", *TO, "--collect", "pyproject.toml"), "--collect is for a log of Kubernetes"),
        (("--on", "kubernetes", *TO), "on Kubernetes nothing is submitted"),
        (("--on", "kubernetes", *TO, "--print", "--partition", "x"), "--partition is about Slurm"),
        (("--on", "kubernetes", *TO, "--print", "--collect", "pyproject.toml"), "either --print or --collect"),
        (("--on", "slurm", "--registry", "team", "--print"), "is no reference to an image in a registry"),
    ],
)
def test_what_makes_no_sense(assay_: Callable[..., Ran], arguments: tuple[str, ...], words: str) -> None:
    Path("pyproject.toml").touch()
    assay_("smoke", *arguments).refused(2, words)


def test_what_is_asked_of_the_cluster(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def run(cat: object, names: object, options: certify.Options, place: cluster.Place, view: Any) -> Any:
        seen.append((options, place))
        view.state("torchy", "pending (Resources)")
        view.state("torchy", "running on n1")
        outcome = certify.Outcome("torchy", options.device, seconds=1)
        view.done(outcome)
        return [outcome]

    monkeypatch.setattr(cluster, "certify", run)
    words = ["--on", "slurm", *TO, "--device", "gpu", "--memory", "8g", "--partition", "a100", "--start-within", "5"]
    ran = assay_("smoke", "torchy", *words)
    assert ran.code == 1
    assert "torchy: pending (Resources)\n" in ran.err
    assert "torchy: running on n1\n" in ran.err
    ((options, place),) = seen
    assert options == certify.Options("gpu", memory_bytes=2**33)
    assert place == cluster.Place(
        "registry.example/team",
        Path.cwd() / "build/cluster",
        cluster.Wishes(True, 2**33, "a100"),
        start_within=300.0,
    )


def test_an_image_for_another_processor_is_not_for_a_cluster(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "is_foreign", lambda platform: True)
    ran = assay_("smoke", "--on", "slurm", *TO, "torchy")
    ran.refused(2, "an image that is emulated gets no certificate", "--on")


@pytest.mark.parametrize("on", ["slurm", "kubernetes"])
def test_nothing_is_built_that_could_be_printed(assay_: Callable[..., Ran], on: str) -> None:
    assay_("smoke", "--on", on, *TO, "--print").refused(2, "no image is built")
