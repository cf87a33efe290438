"""The wheel that a researcher installs: it brings what `assay doctor` and `assay verify` judge by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from assay.certificate import Suites


@pytest.fixture(scope="module")
def installed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's files in it, as pip would put them there."""
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(argv, cwd=root, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_suite_and_the_certificates_are_in_it(installed: Path, root: Path) -> None:
    release = installed / "assay/release"
    there, here = Suites.read(release, installed / "assay/suites"), Suites.read(root)
    assert (there.current, there.released) == (here.current, here.released)
    kept = {path.relative_to(root) for path in (root / "certificates").rglob("*.json")}
    assert {path.relative_to(release) for path in release.rglob("certificates/**/*.json")} == kept
    assert not list(installed.rglob("*.pyc"))


def test_the_scripts_that_run_elsewhere_are_in_it(installed: Path, root: Path) -> None:
    scripts = {path.relative_to(root) for path in (root / "assay").rglob("*.sh")}
    assert scripts
    assert {path.relative_to(installed) for path in installed.rglob("*.sh") if "release" not in path.parts} == scripts


def test_the_doctor_answers_from_it(installed: Path, tmp_path: Path) -> None:
    program = "from assay.cli import main; import sys; sys.argv[0] = 'assay'; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "doctor", "--driver", "580", "--compute-capability", "9.0", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    images = json.loads(done.stdout)["images"]
    assert images
    assert {row["runs"] for row in images} <= {"gpu", "cpu"}
    assert {row["command"] for row in images} == {None}, "none of them is here"
