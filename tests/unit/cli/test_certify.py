"""`assay certify`: where the base's certificate comes from, and what is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay import certificate, derive
from assay.certificate import BaseImage, Derived, Policy
from assay.certify import Outcome
from assay.cli.certify import show_certified
from assay.derive import Certified
from assay.errors import CertificateFailed
from tests.unit.certificate import reports
from tests.unit.cli.ran import Ran, raising


def certified(broken: bool = False) -> Certified:
    statement = reports.stated(reports.whole())
    base = certificate.read(statement, Policy(reports.SUITES))
    data = reports.whole()
    if broken:
        reports.metric(data, "P2.train.f32", "loss")["value"] = "1"
    report = reports.report(data)
    derived = Derived(BaseImage("newcomer", base.digest, "E2", 1), {"einops": "0.8.1", "more": "2"})
    verdict = certificate.judge(report, reports.SUITE, derived=True)
    return Certified(Outcome("mine", "cpu", 12.0, report, verdict, Path("x.json"), derived=derived), base)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `derive.certify` was asked for; it finds all well."""
    found: list[Any] = []

    def certify(*arguments: Any) -> Certified:
        found.append(arguments)
        arguments[-1]("training")
        return certified()

    monkeypatch.setattr(derive, "certify", certify)
    return found


def test_the_level_the_base_and_what_was_added_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show_certified(certified())
    *_, summary, base, first, second = capsys.readouterr().out.splitlines()
    assert summary.startswith("mine on cpu: E2, derived: +2 packages, ")
    assert base.startswith("  it stands on newcomer dddddddddddd, certified E2 on ")
    assert (first, second) == ("  added: einops 0.8.1", "  added: more 2")


def test_the_command(assay_: Callable[..., Ran], asked: list[Any]) -> None:
    ran = assay_("certify", "mine")
    assert ran.code == 0
    assert "mine on cpu: E2, derived: +2 packages" in ran.out
    root, _, name, certificates, (_, options), _ = asked[0]
    assert (root, name, certificates) == (Path.cwd(), "mine", [])
    assert (options.device, options.memory_bytes) == ("cpu", None)
    assert assay_("certify", "mine", "--device", "gpu", "--memory", "8g").code == 0
    assert (asked[1][4][1].device, asked[1][4][1].memory_bytes) == ("gpu", 8 * 2**30)


def test_for_programs(assay_: Callable[..., Ran], asked: list[Any]) -> None:
    ran = assay_("certify", "mine", "--json")
    assert ran.code == 0
    row = json.loads(ran.out)
    assert (row["level"], row["derived"]["added"]) == ("E2", {"einops": "0.8.1", "more": "2"})
    assert row["derived"]["base"]["name"] == "newcomer"


def test_an_image_that_did_not_pass(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derive, "certify", lambda *_: certified(broken=True))
    ran = assay_("certify", "mine")
    assert ran.code == 1
    assert "P2.train.f32: loss 1 is not <= 1e-5" in ran.out
    assert "error: mine did not pass" in ran.err


def test_the_base_s_certificate_in_a_file(assay_: Callable[..., Ran], asked: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    path.write_text("{}")
    assay_("certify", "mine", "--base", str(path)).refused(2, "is no certificate")
    assert asked == []


def test_the_base_in_a_registry(
    assay_: Callable[..., Ran], asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = "registry.example/team/pytorch:2.0"
    assay_("certify", "mine", "--base", reference).refused(
        2, "is verified with its publisher's key, and none is given"
    )
    assay_("certify", "mine", "--base", "pytorch", "--key", "x").refused(
        2, "is no reference to an image in a registry"
    )
    given: list[Any] = []

    def of_registry(*told: Any, **how: Any) -> list[str]:
        given.append((*told, how))
        return ["the base's"]

    monkeypatch.setattr(derive, "of_registry", of_registry)
    monkeypatch.setenv("ASSAY_PASSWORD", "a password")
    assert assay_("keygen", "--out", str(tmp_path / "assay")).code == 0
    assert assay_("certify", "mine", "--base", reference, "--key", str(tmp_path / "assay.pub")).code == 0
    assert str(given[0][0]) == reference
    assert asked[0][3] == ["the base's"]


def test_what_is_refused_is_two_lines(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derive, "certify", raising(CertificateFailed("mine: /x of the base is gone", "Leave it.")))
    ran = assay_("certify", "mine")
    assert ran.code == 1
    assert ran.err.splitlines()[-2:] == ["error: mine: /x of the base is gone", "  Leave it."]
    assert assay_("certify").code == 2
