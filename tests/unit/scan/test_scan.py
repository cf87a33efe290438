"""Packages against advisories: by OSV's own rules, in both orders of versions; what is allowed, and for how long."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import scan
from assay.attestation.sbom import Inventory, Package, sbom
from assay.errors import AssayError, UsageError
from assay.scan import Component, Scan
from tests.unit.cli.conftest import assay_  # noqa: F401
from tests.unit.cli.ran import Ran

TODAY = datetime.date(2026, 12, 1)
DIGEST = "sha256:" + "a" * 64


def advisory(name: str = "GHSA-xxxx", **more: Any) -> dict[str, Any]:
    """One in the form of OSV's database, about pillow on PyPI before 10.2.0."""
    return {
        "id": name,
        "modified": "2026-11-01T00:00:00Z",
        "aliases": ["CVE-2023-50447"],
        "summary": "Arbitrary code execution",
        "affected": [affected("PyPI", "pillow", {"introduced": "0"}, {"fixed": "10.2.0"})],
        **more,
    }


def affected(ecosystem: str, name: str, *events: dict[str, str], versions: tuple[str, ...] = ()) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    return {"package": {"ecosystem": ecosystem, "name": name}, "ranges": ranges, "versions": list(versions)}


def bom() -> dict[str, Any]:
    """The SBOM of an image, as it is published."""
    debian = (
        Package("libc6", "2.41-12", (), "amd64", "glibc@2.41-12"),
        Package("g++", "4:14.2.0-1", (), "amd64", "gcc-defaults@1.220"),
        Package("bash", "5.2-3+b2", (), "amd64", "bash@5.2-3"),
    )
    python = (Package("Pillow", "10.1.0", ()), Package("torch", "2.3.1+cu121", ()))
    return sbom("torchy", DIGEST, "2026-11-22T17:00:00Z", "trixie", Inventory(1, debian, python))


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., Scan]:
    """What is found of that SBOM with these advisories."""

    def scanned(*several: dict[str, Any], allow: str = "") -> Scan:
        (tmp_path / "sbom.json").write_text(json.dumps(bom()))
        folder = tmp_path / "advisories/some"
        folder.mkdir(parents=True)
        for one in several:
            (folder / f"{one['id']}.json").write_text(json.dumps(one))
        (tmp_path / "allow.toml").write_text(allow)
        parts, known = scan.components(tmp_path / "sbom.json"), scan.advisories(tmp_path / "advisories")
        return scan.scan("torchy", parts, known, scan.allowed(tmp_path / "allow.toml"), TODAY)

    return scanned


def test_debians_packages_are_known_by_their_source(tmp_path: Path) -> None:
    (tmp_path / "sbom.json").write_text(json.dumps(bom()["predicate"]))
    parts = {part.name: part for part in scan.components(tmp_path / "sbom.json")}
    assert parts["libc6"] == Component("Debian", "libc6", "2.41-12", "glibc", "2.41-12", "13")
    assert (parts["g++"].source, parts["g++"].source_version) == ("gcc-defaults", "1.220")
    assert parts["pillow"].version == "10.1.0"


def test_a_version_that_is_affected_is_found_with_what_mends_it(found: Callable[..., Scan]) -> None:
    (one,) = found(advisory()).findings
    assert (one.package, one.advisory, one.fixed) == ("pillow", "GHSA-xxxx", "10.2.0")


@pytest.mark.parametrize(
    ("about", "holds"),
    [
        (affected("PyPI", "pillow", {"introduced": "0"}, {"fixed": "10.1.0"}), False),
        (affected("PyPI", "pillow", {"introduced": "10.1"}, {"last_affected": "10.1.0"}), True),
        (affected("PyPI", "pillow", {"introduced": "0"}, {"last_affected": "10.0.9"}), False),
        (affected("PyPI", "pillow", {"introduced": "10.1.1"}), False),
        (affected("PyPI", "pillow", {"fixed": "9"}, {"introduced": "8"}, {"introduced": "10.0"}), True),
        (affected("PyPI", "pillow", versions=("10.1.0",)), True),
        (affected("PyPI", "torch", {"introduced": "0"}, {"fixed": "2.3.1"}), False),
        (affected("PyPI", "torch", {"introduced": "2.3.1"}), True),
        (affected("Debian:13", "glibc", {"introduced": "0"}, {"fixed": "2.41-12+deb13u1"}), True),
        (affected("Debian:12", "glibc", {"introduced": "0"}), False),
        (affected("Debian", "glibc", {"introduced": "0"}, {"fixed": "2.41-12"}), False),
        (affected("Debian:13", "gcc-defaults", {"introduced": "0"}, {"fixed": "1.221"}), True),
        (affected("Debian:13", "g++", {"introduced": "0"}), False),
        (affected("Debian:13", "bash", {"introduced": "0"}, {"fixed": "5.2-3"}), False),
        (affected("npm", "pillow", {"introduced": "0"}), False),
    ],
)
def test_by_the_rules_of_osv(found: Callable[..., Scan], about: dict[str, Any], holds: bool) -> None:
    assert bool(found(advisory(affected=[about])).findings) == holds


def test_one_that_was_withdrawn_is_none(found: Callable[..., Scan]) -> None:
    assert not found(advisory(withdrawn="2026-11-02T00:00:00Z")).findings


def test_what_no_advisory_is_about_was_not_looked_for(found: Callable[..., Scan]) -> None:
    assert found(advisory()).not_looked_for == ("Debian",)


def test_what_is_allowed_has_a_reason_and_a_day(found: Callable[..., Scan]) -> None:
    good = found(advisory(), allow='[[allow]]\nid = "CVE-2023-50447"\nwhy = "not called"\nuntil = 2026-12-01\n')
    assert not good.open
    assert good.findings[0].allowed == "not called (until 2026-12-01)"
    scan.require_clean(good)


@pytest.mark.parametrize(
    ("allow", "note"),
    [
        ("until = 2026-11-30", "allowed until 2026-11-30, which is over"),
        ('until = 2027-01-01\npackage = "torch"', ""),
    ],
)
def test_past_its_day_or_of_another_package_it_is_not(found: Callable[..., Scan], allow: str, note: str) -> None:
    bad = found(advisory(), allow=f'[[allow]]\nid = "GHSA-xxxx"\nwhy = "not called"\n{allow}\n')
    assert [one.note for one in bad.open] == [note]
    with pytest.raises(AssayError) as refused:
        scan.require_clean(bad)
    assert refused.value.exit_code == 1


def test_what_is_allowed_and_not_there_is_said(found: Callable[..., Scan]) -> None:
    assert found(advisory(), allow='[[allow]]\nid = "X"\nwhy = "y"\nuntil = 2027-01-01\n').unused == ("X",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"id": "x"}',
        json.dumps(advisory(affected=[{"package": {"ecosystem": "PyPI"}}])),
        json.dumps(advisory(affected=[affected("PyPI", "pillow", {"introduced": "0", "fixed": "1"})])),
        json.dumps(advisory(affected=[affected("PyPI", "pillow", {"fixed": "1"})])),
        json.dumps(advisory(affected=[affected("PyPI", "pillow", {"introduced": "0"}, {"fixed": "one"})])),
        json.dumps(advisory(affected=[affected("Debian", "bash", {"introduced": "0"}, {"fixed": "a b"})])),
        "[" * 100_000,
    ],
)
def test_a_malformed_advisory_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "GHSA-bad.json").write_text(text)
    with pytest.raises(UsageError, match=r"GHSA-bad\.json is no advisory"):
        scan.advisories(tmp_path)


@given(st.binary(max_size=300))
def test_any_file_is_an_advisory_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "any.json").write_bytes(data)
    for read in (scan.advisories, lambda folder: scan.components(folder / "any.json")):
        with pytest.raises(UsageError):
            read(folder)


def test_nothing_to_look_for_is_no_pass(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no advisory"):
        scan.advisories(tmp_path)


@pytest.mark.parametrize(
    "text", ["allow = 1", '[[allow]]\nid = "x"\nwhy = "y"\n', '[[allow]]\nid = "x"\nwho = "y"\n']
)
def test_a_list_that_lacks_a_reason_or_a_day_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "allow.toml").write_text(text)
    with pytest.raises(UsageError, match="no list of what is allowed"):
        scan.allowed(tmp_path / "allow.toml")


def test_the_command_ends_with_1_and_says_what(assay_: Callable[..., Ran], tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "sbom.json").write_text(json.dumps(bom()))
    (tmp_path / "db").mkdir()
    (tmp_path / "db/one.json").write_text(json.dumps(advisory()))
    ran = assay_("scan", str(tmp_path / "sbom.json"), "--advisories", str(tmp_path / "db"))
    assert ran.code == 1
    assert "CVE-2023-50447" in ran.out
    assert "GHSA-xxxx is about pillow 10.1.0" in ran.err
    assert "10.2.0 has it mended" in ran.err
    ran = assay_("scan", str(tmp_path / "sbom.json"), "--advisories", str(tmp_path / "db"), "--json")
    assert json.loads(ran.out)["findings"][0]["fixed"] == "10.2.0"
    assay_("scan", "registry.example/x", "--advisories", str(tmp_path / "db")).refused(2, "--key")
