"""A derived image is certified by its base's suite and plan, and its certificate says what was added."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from assay import certificate, derive
from assay.certificate import Policy, level_text
from assay.certify import table
from assay.errors import AssayError, CertificateFailed, UsageError, VerificationFailed
from tests.unit.certificate import reports
from tests.unit.derive.made import EINOPS, SITE, Derivations, digest_of, package


def test_added_packages_are_certified_and_named(place: Derivations) -> None:
    place.engine.added = {"ein-ops": "0.8.1"}
    place.derived(EINOPS)
    found = place.certify()
    outcome = found.outcome
    assert outcome.passed
    assert outcome.verdict is not None
    assert level_text(outcome.verdict.level, outcome.derived) == "E2, derived: +1 package"
    assert outcome.path == place.root / "build/derived/mine/cpu.json"
    statement = json.loads(outcome.path.read_text())
    assert statement["subject"] == [
        {"name": "plain/derived", "digest": {"sha256": place.engine.names["mine"].removeprefix("sha256:")}}
    ]
    below = {"name": "plain", "digest": digest_of(b"the base"), "level": "E2", "layers": 3}
    told = {"base": below, "added": {"ein-ops": "0.8.1"}}
    assert statement["predicate"]["derived"] == told
    assert derive.as_json(found)["derived"] == told
    opened = certificate.read(statement, Policy(place.suites))
    assert (opened.image, opened.verdict.level, opened.origin) == ("plain/derived", "E2", "")


def test_it_is_run_by_the_base_s_suite_and_as_isolated(place: Derivations) -> None:
    """What the image has in /opt/assay, as its entrypoint or its folder, does not matter."""
    place.derived({"home/assay/runpy.py": "evil"}, WorkingDir="/home/assay")
    place.certify()
    (request,) = place.engine.requests
    assert place.engine.seen == {
        **{path.removeprefix("opt/assay/"): text for path, text in place.suite.items()},
        "bin/entrypoint": "#!/bin/sh",
        "plan.json": "{}",
    }
    assert request.image == place.engine.names["mine"]
    assert request.entrypoint == ("/opt/assay/bin/entrypoint",)
    assert request.command[0] == "/opt/assay/bin/smoke"
    assert (request.folder, request.user) == ("/opt/assay", "12345:12345")


def test_nothing_added_is_a_derived_image_too(place: Derivations) -> None:
    place.derived(
        Env=[
            *["PATH=" + "/opt/assay/bin:/opt/env/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "X=1",
        ]
    )
    outcome = place.certify().outcome
    assert outcome.passed
    assert level_text("E2", outcome.derived) == "E2, derived: +0 packages"


def test_a_failed_check_is_in_the_certificate(place: Derivations) -> None:
    def fail(data: dict[str, Any]) -> None:
        found = reports.result(data, "static.packages")
        reports.metric(data, "static.packages", "wrong")["value"] = "1"
        found.update(state="fail", reason="numpy 2.3 is locked, 2.4 is installed")

    place.engine.change = fail
    place.derived({})
    outcome = place.certify().outcome
    assert not outcome.passed
    assert outcome.verdict is not None
    assert dict(outcome.verdict.problems) == {"static.packages": "wrong 1 is not <= 0"}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, "it says that this was added: ein-ops 0.8.1; and its report counts 0: nothing"),
        ({"ein-ops": "0.8.2"}, "and its report counts 1: ein-ops 0.8.2"),
        ({"ein-ops": "0.8.1", "more": "1, in /home/assay/overlay"}, "more 1, in /home/assay/overlay"),
    ],
)
def test_a_report_that_hides_what_was_added(place: Derivations, told: dict[str, str], said: str) -> None:
    place.engine.added = told
    place.derived(EINOPS)
    with pytest.raises(VerificationFailed) as failed:
        place.certify()
    assert said in failed.value.what
    assert not (place.root / "build/derived/mine/cpu.json").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["suite"].update(sha256="0" * 64),
        lambda data: data["gates"].update(sha256="0" * 64),
        lambda data: data["reference"].update(sha256="0" * 64),
        lambda data: data["plan"].update(workloads=[]),
        lambda data: data.update(image="another"),
    ],
)
def test_a_report_by_another_suite_or_plan(place: Derivations, change: Callable[[Any], None]) -> None:
    place.engine.change = change
    place.derived({})
    with pytest.raises(VerificationFailed):
        place.certify()


@pytest.mark.parametrize("label", ["assay.workloads", "assay.plan", "assay.suite", "assay.framework", "assay.python"])
@pytest.mark.parametrize("text", [None, "other"])
def test_labels_that_were_removed_or_changed(place: Derivations, label: str, text: str | None) -> None:
    labels = {name: word for name, word in place.labels().items() if name != label}
    place.derived({}, Labels={**labels, **({label: text} if text else {})})
    with pytest.raises(VerificationFailed, match=r"label") as failed:
        place.certify()
    assert len(str(failed.value).splitlines()) == 2


def test_a_suite_that_does_not_count_what_is_added(place: Derivations) -> None:
    path = place.root / "smoke/levels.json"
    path.write_text(path.read_text().replace(', "added": "count"', ""))
    old = Derivations.__new__(Derivations)
    old.__dict__.update(place.__dict__)
    old.known = old.engine.known = certificate.Suite.read(place.root)
    old.certify_base()
    old.derived({})
    with pytest.raises(UsageError, match="does not count what is added"):
        old.certify()


def test_the_suite_in_the_base_is_that_of_its_certificate(place: Derivations) -> None:
    place.base[-1] = {**place.base[-1], "opt/assay/smoke/gates.json": "{}"}
    place.certify_base()
    place.derived({})
    with pytest.raises(VerificationFailed, match="the suite in plain is not the one that its certificate is by"):
        place.certify()
    assert place.engine.requests == []


def test_a_gpu_that_is_not_there(place: Derivations) -> None:
    place.derived({})
    with pytest.raises(CertificateFailed, match="plain, which has no certificate on the gpu"):
        place.certify(device="gpu")


def test_the_catalog_s_table_takes_no_derived_image(place: Derivations) -> None:
    place.derived({})
    path = place.certify().outcome.path
    assert path is not None
    target = place.root / "build/certificates/mine/cpu.json"
    target.parent.mkdir()
    target.write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="is of a derived image"):
        table.keep(place.root)
    place.derived({"etc/more": "x"}, name="again")
    assert place.certify("again").base.image == "plain", "and none is a base"


def test_each_refusal_is_two_lines_and_names_the_image(place: Derivations) -> None:
    place.derived({f"{SITE}/.wh.plain.py": ""})
    with pytest.raises(AssayError) as failed:
        place.certify()
    assert str(failed.value).splitlines()[0] == f"mine: /{SITE}/plain.py of the base is gone"
    assert len(str(failed.value).splitlines()) == 2


def test_a_package_of_the_base_in_another_version(place: Derivations) -> None:
    """The suite tells of it (what is locked was moved); here it is no package that was added."""
    place.engine.added = {"plain": "2"}
    place.derived(package("plain", "2", {}))
    with pytest.raises(CertificateFailed, match="plain is locked, and plain 2 was added"):
        place.certify()
