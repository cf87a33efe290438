from __future__ import annotations

import copy
import dataclasses
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import catalog, certificate, smoke
from assay.catalog import Built, write_images
from assay.catalog.built import tag
from assay.engine import RunRequest, RunResult
from assay.errors import CertificateFailed, EngineMissing, UsageError
from assay.smoke import Options, Outcome
from tests.unit.certificate import reports
from tests.unit.repository import repository

DIGEST = "sha256:" + "d" * 64


class Engine:
    """Does what `assay.engine.Engine` does for a smoke run, without one."""

    description = "docker 28 (fake)"

    def __init__(self) -> None:
        self.requests: list[RunRequest] = []
        self.names: dict[str, str] = {}
        self.gpu: str | None = None
        self.on_run: dict[str, Callable[[Path], RunResult | None]] = {}
        self.packed: list[str] = []
        self.there = True

    def answers(self) -> bool:
        return self.there

    def tags(self, repository: str) -> list[str]:
        return [name for name in self.names if name.rpartition(":")[0] == repository]

    def pack(self, references: Iterable[str]) -> None:
        self.packed += references

    def digest(self, reference: str) -> str | None:
        return self.names.get(reference)

    def gpu_access(self) -> str | None:
        return self.gpu

    def run(self, request: RunRequest) -> RunResult:
        self.requests.append(request)
        (shared,) = request.mounts
        name = request.image.partition("/")[2].partition(":")[0]
        plan = json.loads((shared / "plan.json").read_text())
        assert plan["image"] == name
        (shared / "report.json").write_text(json.dumps(answer(plan, self.known)))
        found = self.on_run.get(name, lambda folder: None)(shared)
        return found or RunResult(0, False, False, "chatter\nlast words\n", 1.25)

    known: certificate.Suite


def answer(plan: dict[str, Any], known: certificate.Suite) -> dict[str, Any]:
    """A report in which all that the suite asks of this plan holds."""
    return reports.written(plan, known)


class Place:
    """A repository whose images are all built, and an engine that has them."""

    def __init__(self, root: Path) -> None:
        self.root = repository(root)
        (root / "build").mkdir()
        self.engine = Engine()
        self.known = self.engine.known = certificate.Suite.read(root)
        self.built: dict[str, Built] = {}
        for image in self.catalog.images.values():
            suite = self.known.digest_of(image.framework.name) if image.framework else None
            self.built[image.name] = Built("k", suite, DIGEST, "sha256:c", ("a",), (), 1, 2, 3.0, "now")
            self.engine.names[tag(image.name, "latest")] = DIGEST
        write_images(root, self.built)
        self.begun: list[str] = []

    @property
    def catalog(self) -> catalog.Catalog:
        return catalog.load(self.root)

    def smoke(self, *names: str, **options: Any) -> dict[str, Outcome]:
        told: list[Outcome] = []
        self.begun = []
        made = smoke.smoke(
            self.catalog,
            self.engine,  # type: ignore[arg-type]
            names,
            Options(**options),
            self.begun.append,
            told.append,
        )
        assert made == told
        return {outcome.image: outcome for outcome in made}

    def certificate(self, name: str, device: str = "cpu") -> Path:
        return self.root / "build/certificates" / name / f"{device}.json"

    def edit(self, change: Callable[[dict[str, Any]], None], name: str = "plain") -> None:
        path = self.certificate(name)
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_every_built_image_gets_its_certificate(place: Place) -> None:
    outcomes = place.smoke()
    assert list(outcomes) == place.begun == ["plain", "tensory", "torchy"]
    for name, outcome in outcomes.items():
        assert outcome.passed
        assert outcome.verdict is not None
        assert outcome.verdict.level == "E2"
        statement = json.loads(place.certificate(name).read_text())
        assert statement["subject"] == [{"name": name, "digest": {"sha256": "d" * 64}}]
        assert statement["predicate"]["plan"]["engine"] == "docker 28 (fake)"
        assert "images/base/trixie/packages.lock" in statement["predicate"]["image"]["inputs"]
        assert (place.root / f"build/reports/{name}/cpu.json").is_file()
        assert "last words" in (place.root / f"build/reports/{name}/cpu.log").read_text()
    smoke.require_passed(outcomes.values())


def test_what_a_container_gets(place: Place) -> None:
    place.smoke("plain", memory_bytes=2**30)
    (request,) = place.engine.requests
    assert request.command == ("smoke", "--plan", "/run/assay/plan.json", "--report", "/run/assay/report.json")
    assert (request.user, request.shm_bytes, request.memory_bytes) == ("12345:12345", 64 * 2**20, 2**30)
    assert (request.device, request.environment, request.entrypoint) == ("cpu", {}, None)
    assert not next(iter(request.mounts)).exists()  # cleared away


def test_only_what_is_built_is_run_unless_it_is_named(place: Place) -> None:
    del place.built["torchy"]
    write_images(place.root, place.built)
    assert list(place.smoke()) == ["plain", "tensory"]
    error = place.smoke("torchy")["torchy"].error
    assert isinstance(error, UsageError)
    assert error.todo == "Run `assay build torchy` first."


def test_nothing_is_built(place: Place) -> None:
    write_images(place.root, {})
    with pytest.raises(UsageError, match="no image is built"):
        place.smoke()


def test_an_unknown_image(place: Place) -> None:
    with pytest.raises(UsageError, match="Did you mean torchy"):
        place.smoke("torch")


# ---- what goes wrong with one image ------------------------------------------------------------------


def gone(folder: Path) -> None:
    (folder / "report.json").unlink()


def truncated(folder: Path) -> None:
    text = (folder / "report.json").read_text()
    (folder / "report.json").write_text(text[: len(text) // 2])


def linked(folder: Path) -> None:
    (folder / "report.json").rename(folder / "elsewhere")
    (folder / "report.json").symlink_to("elsewhere")


def bottomless(folder: Path) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("deeper", dir_fd=here)
        above, here = here, os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(above)
    os.close(here)


def edited(**changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        data = json.loads((folder / "report.json").read_text())
        (folder / "report.json").write_text(json.dumps({**data, **changes}))

    return edit


def ended(**how: Any) -> Callable[[Path], RunResult]:
    return lambda folder: dataclasses.replace(RunResult(0, False, False, "one\nlast words\n\n", 2.0), **how)


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (gone, "the container left no report.json"),
        (truncated, "the report is malformed"),
        (linked, "what the container left as report.json cannot be read"),
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
        smoke.require_passed(outcomes.values())


def test_what_a_container_leaves_besides_its_report_is_cleared_away(place: Place) -> None:
    place.engine.on_run["plain"] = bottomless
    assert all(outcome.passed for outcome in place.smoke().values())
    for request in place.engine.requests:
        assert not next(iter(request.mounts)).parent.exists()


def test_the_kernel_ended_a_part_only(place: Place) -> None:
    place.engine.on_run["plain"] = ended(out_of_memory=True)  # the suite itself lived, and says it in its report
    assert place.smoke("plain")["plain"].passed


def test_a_failed_check_is_in_the_certificate(place: Place) -> None:
    def fail(folder: Path) -> None:
        data = json.loads((folder / "report.json").read_text())
        reports.metric(data, "P2.train.f32", "loss")["value"] = "1"
        (folder / "report.json").write_text(json.dumps(data))

    place.engine.on_run["plain"] = fail
    outcome = place.smoke("plain")["plain"]
    assert not outcome.passed
    assert json.loads(place.certificate("plain").read_text())["predicate"]["achieved"] == "E1"
    with pytest.raises(CertificateFailed):
        smoke.require_passed([outcome])


def test_an_engine_that_dies_ends_the_run(place: Place) -> None:
    place.engine.there = False

    def die(folder: Path) -> RunResult:
        raise EngineMissing("the engine went away", "Run it again.")

    place.engine.on_run["plain"] = die
    with pytest.raises(EngineMissing):
        place.smoke()


def test_an_old_certificate_does_not_outlive_a_crash(place: Place) -> None:
    place.smoke("plain")
    place.engine.on_run["plain"] = ended(exit_code=1)
    place.smoke("plain", again=True)
    assert not place.certificate("plain").exists()
    assert not (place.root / "build/reports/plain/cpu.json").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"digest": "sha256:other"}, "plain is not built"),
        ({"suite": "0" * 64}, "plain holds another smoke suite than this checkout"),
        ({"suite": None}, "plain holds another smoke suite"),
    ],
)
def test_an_image_that_is_not_what_it_should_be_is_not_run(place: Place, change: dict[str, Any], words: str) -> None:
    place.built["plain"] = msgspec.structs.replace(place.built["plain"], **change)
    write_images(place.root, place.built)
    error = place.smoke("plain")["plain"].error
    assert error is not None
    assert words in error.what
    assert place.engine.requests == []


def test_an_image_without_a_framework(place: Place) -> None:
    error = place.smoke("cuda/1.0")["cuda/1.0"].error
    assert error is not None
    assert "has no framework" in error.what


# ---- the GPU ---------------------------------------------------------------------------------------


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


def test_a_gpu_not_asked_for_is_not_run(place: Place) -> None:
    place.smoke("plain")
    rows = json.loads(place.certificate("plain").read_text())["predicate"]["notRun"]
    assert {"level": "E3", "reason": "no GPU was asked for"} in rows


# ---- kept certificates -------------------------------------------------------------------------------


def test_an_unchanged_image_is_not_certified_twice(place: Place) -> None:
    created = json.loads(place.smoke("plain")["plain"].path.read_text())  # type: ignore[union-attr]
    outcome = place.smoke("plain")["plain"]
    assert len(place.engine.requests) == 1
    assert outcome.passed
    assert outcome.kept_from == created["predicate"]["timeCreated"]
    assert place.smoke("plain", again=True)["plain"].kept_from is None
    assert len(place.engine.requests) == 2


def fail_a_metric(data: dict[str, Any]) -> None:
    reports.metric(data["predicate"], "P2.train.f32", "loss")["value"] = "1"


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "digest": lambda data: data["subject"][0]["digest"].update(sha256="e" * 64),
    "no subject": lambda data: data.update(subject=[]),
    "subject of another kind": lambda data: data.update(subject=3),
    "suite": lambda data: data["predicate"]["suite"]["digest"].update(sha256="e" * 64),
    "gates": lambda data: data["predicate"]["suite"]["gates"].update(sha256="e" * 64),
    "plan": lambda data: data["predicate"]["plan"].update(workloads=[]),
    "device": lambda data: data["predicate"]["plan"].update(device="gpu"),
    "schema": lambda data: data["predicate"].update(schema=2),
    "results": lambda data: data["predicate"].update(results=3),
    "fault": lambda data: data["predicate"]["faults"].pop(),
    "metric": fail_a_metric,
    "complete": lambda data: data["predicate"].update(complete=False),
    "predicate": lambda data: data.pop("predicate"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_certificate_that_does_not_fit_is_made_anew(place: Place, change: Callable[[dict[str, Any]], None]) -> None:
    place.smoke("plain")
    before = json.loads(place.certificate("plain").read_text())
    place.edit(change)
    assert place.smoke("plain")["plain"].kept_from is None
    after = json.loads(place.certificate("plain").read_text())
    assert len(place.engine.requests) == 2
    for data in (before, after):
        del data["predicate"]["timeCreated"]
    assert after == before


def test_a_certificate_that_claims_more_than_its_evidence_is_not_kept(place: Place) -> None:
    place.smoke("plain")
    place.edit(lambda data: data["predicate"].update(achieved="E4"))
    outcome = place.smoke("plain")["plain"]
    assert outcome.kept_from is None
    assert outcome.verdict is not None
    assert outcome.verdict.level == "E2"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_certificate_that_cannot_be_read_is_made_anew(place: Place, data: bytes) -> None:
    place.smoke("plain")
    place.certificate("plain").write_bytes(data)
    assert place.smoke("plain")["plain"].kept_from is None


def test_a_failed_run_is_not_kept(place: Place) -> None:
    place.engine.on_run["plain"] = edited(complete=False)
    place.smoke("plain")
    del place.engine.on_run["plain"]
    assert place.smoke("plain")["plain"].passed
    assert len(place.engine.requests) == 2


def test_packed_is_what_was_run_and_only_when_asked_for(place: Place) -> None:
    place.smoke("plain")
    assert place.engine.packed == []
    place.smoke("tensory", pack=True)
    assert place.engine.packed == ["assay/tensory:latest"]


# ---- for programs ------------------------------------------------------------------------------------


def bad(place: Place) -> list[Outcome]:
    place.engine.on_run["plain"] = ended(exit_code=1)
    place.engine.on_run["tensory"] = edited(faults=[])

    def fail(folder: Path) -> None:
        data = json.loads((folder / "report.json").read_text())
        reports.result(data, "cost.main").update(state="error", reason="it broke \x00\x1b[1m\ufffe <&>")
        reports.metric(data, "P2.train.f32", "loss")["value"] = "1"
        (folder / "report.json").write_text(json.dumps(data))

    place.engine.on_run["torchy"] = fail
    return list(place.smoke().values())


def test_junit(place: Place) -> None:
    top = ElementTree.fromstring(smoke.junit(bad(place)))
    plain, tensory, torchy = top
    assert [suite.get("name") for suite in top] == ["plain.cpu", "tensory.cpu", "torchy.cpu"]
    for suite in top:
        assert suite.get("tests") == str(len(list(suite)))
        for tagged, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert suite.get(plural) == str(len(suite.findall(f"testcase/{tagged}")))
    assert plain.get("errors") == "1"
    assert "crashed with exit code 1" in plain[0][0].get("message", "")
    names = [case.get("name") for case in tensory]
    assert {"fault lr-1.001", "P2.train.f32"} <= set(names)
    assert tensory.get("failures") == str(len(place.known.levels.faults))
    assert int(tensory.get("skipped", "0")) > 0
    assert (torchy.get("errors"), torchy.get("failures")) == ("1", "1")
    assert torchy.find("testcase/error").get("message") == "it broke [1m <&>"  # type: ignore[union-attr]


@given(st.text(), st.text(max_size=64))
def test_junit_of_any_text_is_xml(text: str, seconds: str) -> None:
    data = copy.deepcopy(reports.whole())
    if any("\ud800" <= one <= "\udfff" for one in text + seconds):
        return
    data["results"][0].update(reason=text, id=text, seconds=seconds, state="error")
    report = reports.report(data)
    verdict = certificate.judge(report, reports.SUITE)
    ElementTree.fromstring(smoke.junit([Outcome("x", "cpu", report=report, verdict=verdict)]))


def test_rows(place: Place) -> None:
    rows = json.loads(json.dumps([smoke.row(outcome) for outcome in bad(place)]))
    plain, tensory, torchy = rows
    assert plain == {
        "image": "plain",
        "device": "cpu",
        "passed": False,
        "level": None,
        "seconds": 0.0,
        "certificate": None,
        "unchanged_since": None,
        "problems": [],
        "error": "plain: the suite crashed with exit code 1: last words",
    }
    assert tensory["level"] == "E0"
    assert {row["id"] for row in torchy["problems"]} == {"cost.main", "P2.train.f32"}
    assert torchy["certificate"].endswith("build/certificates/torchy/cpu.json")


# ---- the plan ----------------------------------------------------------------------------------------


def test_the_plan(place: Place) -> None:
    image = place.catalog.get("torchy")
    plan = catalog.plan(image, "gpu")
    assert plan == {
        "schema": 1,
        "image": "torchy",
        "device": "gpu",
        "framework": {"name": "torch", "module": "torch"},
        "workloads": ["digits"],
        "labels": {"python": "3.13", "cuda": "1.0"},
        "packages": {"cuda-lib": "1.0", "torch": "2.0"},
        "seconds_per_check": 300,
    }
    assert json.loads(catalog.plan_text(image)) == {**plan, "device": "cpu"}
    with pytest.raises(UsageError):
        catalog.plan(place.catalog.get("cuda/1.0"))


def raising(error: Exception) -> Callable[[Path], RunResult | None]:
    def fail(folder: Path) -> RunResult | None:
        raise error

    return fail


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
    assert len(place.engine.packed) == 3, "it is packed all the same"
    with pytest.raises(CertificateFailed, match="plain did not pass"):
        smoke.require_passed(outcomes.values())
