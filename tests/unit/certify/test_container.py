"""What a container gets, and what comes of what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assay import certify
from assay.engine import RunResult
from assay.errors import CertificateFailed, EngineMissing
from tests.unit.certify.made import Place, edited, ended


def gone(folder: Path) -> None:
    (folder / "report.json").write_bytes(b"")


def truncated(folder: Path) -> None:
    text = (folder / "report.json").read_text()
    (folder / "report.json").write_text(text[: len(text) // 2])


def raising(error: Exception) -> Callable[[Path], RunResult | None]:
    def fail(folder: Path) -> RunResult | None:
        raise error

    return fail


def test_what_a_container_gets(place: Place) -> None:
    place.smoke("plain", memory_bytes=2**30)
    (request,) = place.engine.requests
    assert request.command == ("smoke", "--plan", "/run/assay/plan.json", "--report", "/run/assay/report.json")
    assert (request.user, request.shm_bytes, request.memory_bytes) == ("12345:12345", 64 * 2**20, 2**30)
    assert (request.device, request.environment, request.entrypoint) == ("cpu", {}, None)
    assert not next(iter(request.mounts)).exists()  # cleared away


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (gone, "the container left no report.json"),
        (truncated, "the report is malformed"),
        (edited(schema=2), "the report has schema 2, not 1"),
        (edited(image="torchy"), "the report is of 'torchy', not of 'plain'"),
        (edited(plan={}), "answers another plan"),
        (edited(suite={"version": "1", "sha256": "0" * 64}), "its suite (000000000000) is unknown"),
        (ended(exit_code=2), "plain: the suite crashed with exit code 2: last words"),
        (ended(exit_code=137), "plain: the suite crashed with exit code 137"),
        (ended(exit_code=137, out_of_memory=True), "plain: the kernel ended the suite for want of memory"),
        (ended(exit_code=124, timed_out=True), "plain: the suite came to no end in 1200 s: last words"),
        (ended(exit_code=1, output=""), "it printed nothing"),
    ],
)
def test_it_is_that_images_outcome_and_the_others_go_on(
    place: Place, happens: Callable[[Path], RunResult | None], words: str
) -> None:
    place.engine.on_run["plain"] = happens
    outcomes = place.smoke()
    assert list(outcomes) == ["plain", "tensory", "torchy"]
    plain = outcomes["plain"]
    assert not plain.passed
    assert plain.error is not None
    assert words in plain.error.what
    assert len(str(plain.error).splitlines()) == 2
    assert not place.certificate("plain").exists()
    assert outcomes["tensory"].passed
    assert outcomes["torchy"].passed
    with pytest.raises(CertificateFailed, match=r"^plain did not pass"):
        certify.require_passed(outcomes.values())


def test_the_kernel_ended_a_part_only(place: Place) -> None:
    place.engine.on_run["plain"] = ended(out_of_memory=True)  # the suite itself lived, and says it in its report
    assert place.smoke("plain")["plain"].passed


def test_an_engine_that_dies_ends_the_run(place: Place) -> None:
    place.engine.there = False

    def die(folder: Path) -> RunResult:
        raise EngineMissing("the engine went away", "Run it again.")

    place.engine.on_run["plain"] = die
    with pytest.raises(EngineMissing):
        place.smoke()


def test_a_gpu_that_is_asked_for_and_absent_is_a_failure(place: Place) -> None:
    outcome = place.smoke("plain", device="gpu")["plain"]
    assert not outcome.passed
    assert isinstance(outcome.error, CertificateFailed)
    assert "a GPU was asked for" in outcome.error.what
    assert place.engine.requests == []


def test_a_gpu_run(place: Place) -> None:
    place.engine.gpu = "cdi"
    outcome = place.smoke("plain", device="gpu")["plain"]
    assert outcome.passed
    assert outcome.verdict is not None
    assert outcome.verdict.level == "E4"
    assert place.engine.requests[0].device == "gpu"
    assert outcome.path == place.certificate("plain", "gpu")
    assert not place.certificate("plain").exists()


@pytest.mark.parametrize(
    "raised",
    [OSError(28, "No space left on device"), KeyError("a bug"), EngineMissing("it cannot be run: refused", "Look.")],
)
def test_whatever_is_raised_for_one_image_is_its_outcome(place: Place, raised: Exception) -> None:
    place.engine.on_run["plain"] = raising(raised)
    outcomes = place.smoke(pack=True)
    assert [name for name, outcome in outcomes.items() if outcome.passed] == ["tensory", "torchy"]
    error = outcomes["plain"].error
    assert error is not None
    assert error.what.startswith("plain: ")
    names = ["assay/plain:latest", "assay/tensory:latest", "assay/torchy:latest"]
    assert [name for name in place.engine.packed if name in names] == names, "it is packed all the same"
    with pytest.raises(CertificateFailed, match="plain did not pass"):
        certify.require_passed(outcomes.values())
