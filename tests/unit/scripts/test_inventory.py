"""The inventory that is taken inside an image, for the SBOM."""

from __future__ import annotations

from pathlib import Path

import msgspec

from assay.attestation.sbom import Inventory
from assay.scripts import inventory


def test_debian_packages_and_their_licences(tmp_path: Path) -> None:
    (tmp_path / "status").write_text(
        "Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2\nDescription: x\n more: y\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n"
        "Package: b\nStatus: install ok installed\nArchitecture: all\nVersion: 3\n"
    )
    for package, text in (
        ("a", "Format: https://x/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n text\n\nLicense: MIT\n"),
        ("b", "As in /usr/share/common-licenses/Apache-2.0. License: no field\n"),
    ):
        (tmp_path / package).mkdir()
        (tmp_path / package / "copyright").write_text(text)
    found = inventory.debian(tmp_path / "status", tmp_path)
    assert [(one["name"], one["version"], one["licences"]) for one in found] == [
        ("a", "1:2", ["GPL-2+", "MIT"]),
        ("b", "3", ["Apache-2.0"]),
    ]
    assert inventory.licences(tmp_path / "absent") == []


def test_python_packages_of_this_environment() -> None:
    found = msgspec.convert({"schema": 1, "debian": [], "python": inventory.python()}, Inventory)
    licences = {one.name.lower(): one.licences for one in found.python}
    assert licences["click"] == ("BSD-3-Clause",)
