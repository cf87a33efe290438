from __future__ import annotations

from pathlib import Path

import pytest

from assay.host import machine


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{text}'\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("apptainer version 1.3.4", "apptainer 1.3.4"),
        ("apptainer version 1.4.1-1.el9", "apptainer 1.4.1"),
        ("nothing to be read", "apptainer (of unknown version)"),
    ],
)
def test_a_program_and_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, version: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert machine.version_of("apptainer", "singularity") == ""
    program(tmp_path / "bin", "singularity", "singularity-ce version 4.1.0")
    assert machine.version_of("apptainer", "singularity") == "singularity 4.1.0"
    program(tmp_path / "bin", "apptainer", text)
    assert machine.version_of("apptainer", "singularity") == version


def test_a_cdi_specification(tmp_path: Path) -> None:
    folders = (tmp_path / "none", tmp_path)
    assert not machine.cdi_specifications(folders)
    (tmp_path / "other.yaml").write_text("kind: vendor.com/fpga\n")
    assert not machine.cdi_specifications(folders)
    (tmp_path / "gpus.json").write_text('{"cdiVersion": "0.6.0", "kind": "nvidia.com/gpu"}')
    assert machine.cdi_specifications(folders)


def test_the_room_is_that_of_the_closest_folder(tmp_path: Path) -> None:
    found = machine.room(tmp_path / "not" / "there")
    assert found is not None
    assert found.path == tmp_path
    assert 0 < found.free <= found.size
