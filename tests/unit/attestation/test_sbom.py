from __future__ import annotations

from assay.attestation import SBOM
from assay.attestation.sbom import Inventory, Package, sbom


def test_the_sbom_has_packages_and_licences() -> None:
    found = sbom(
        "app",
        "sha256:" + "0" * 64,
        "2026-11-22T17:00:00Z",
        "trixie",
        Inventory(
            1,
            (Package("bash", "5:1", ("Expat", "MIT"), "amd64"),),
            (Package("numpy", "2", ("BSD-3-Clause AND MIT",)), Package("x", "1", ())),
        ),
    )
    by_name = {one["name"]: one for one in found["predicate"]["components"]}
    assert by_name["bash"]["purl"] == "pkg:deb/debian/bash@5:1?arch=amd64&distro=trixie"
    named = [one["license"] for one in by_name["bash"]["licenses"]]
    assert sorted(next(iter(one.values())) for one in named) == ["Expat", "MIT"]
    assert by_name["numpy"]["licenses"] == [{"expression": "BSD-3-Clause AND MIT"}]
    assert "licenses" not in by_name["x"]
    assert found["predicateType"] == SBOM
