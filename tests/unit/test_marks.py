"""Which runs of tests/images mark an image, tried with pytest itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.certify import records
from tests.conftest import ROOT

CONFTEST = f"""
import importlib.util, pytest
from pathlib import Path
spec = importlib.util.spec_from_file_location("marks", {str(ROOT / "tests/images/marks.py")!r})
marks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(marks)

def pytest_configure(config):
    config.pluginmanager.register(marks.Marks(Path({{root!r}})), "marks")

@pytest.fixture(scope="session", params=["a", "b/c", "unbuilt"])
def subject(request):
    if request.param == "unbuilt":
        pytest.skip("unbuilt is not built")
    request.config.pluginmanager.get_plugin("marks").digests[request.param] = "sha256:" + request.param
    return request.param
"""
ONE = """
import pytest
def test_first(subject): pass
@pytest.mark.parametrize("number", [1, 2])
def test_second(subject, number):
    if number == 2:
        pytest.skip("no terminal")
def test_of_no_image(): pass
"""
TWO = "def test_third(subject): pass\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tests/images").mkdir(parents=True)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    (tmp_path / "tests/images/conftest.py").write_text(CONFTEST.format(root=str(tmp_path)))
    (tmp_path / "tests/images/test_one.py").write_text(ONE)
    (tmp_path / "tests/images/test_two.py").write_text(TWO)
    return tmp_path


def marked(folder: Path, *options: str) -> list[str]:
    """The images that a run marks."""
    for name in ("a", "b/c", "unbuilt"):
        records.unmark(folder, name)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # none is needed, and loading them takes half the time
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    names = ["a", "b/c", "unbuilt"]
    found = [name for name in names if records.marked(folder, name, f"sha256:{name}")]
    assert f"passed tests/images as a whole: {', '.join(found) or 'none'}" in done.stdout
    return found


def test_a_whole_run_marks_what_is_built(folder: Path) -> None:
    assert marked(folder, "tests/images") == ["a", "b/c"]
    tested = records.marked(folder, "b/c", "sha256:b/c")
    assert tested is not None
    assert tested.passed == 3
    assert tested.not_run == {"test_one.py::test_second[b/c-2]": "no terminal"}


def test_all_that_is_of_one_image_marks_that_one(folder: Path) -> None:
    assert marked(folder, "tests", "-k", "b/c or test_of_no_image") == ["b/c"]


@pytest.mark.parametrize(
    "options",
    [
        ["tests/images/test_one.py", "tests/images/test_two.py::test_third"],
        ["tests/images/test_one.py"],
        ["tests/images", "-k", "test_first"],
        ["tests/images", "--ignore", "tests/images/test_two.py"],
        ["tests/images", "--deselect", "tests/images/test_one.py::test_first"],
    ],
    ids=" ".join,
)
def test_a_part_marks_nothing(folder: Path, options: list[str]) -> None:
    assert marked(folder, *options) == []


def test_one_that_fails_has_no_mark_and_loses_what_it_had(folder: Path) -> None:
    assert marked(folder, "tests/images") == ["a", "b/c"]
    (folder / "tests/images/test_two.py").write_text("def test_third(subject): assert subject != 'a'\n")
    assert marked(folder, "tests/images") == ["b/c"]


def test_the_first_that_fails_may_end_the_run_and_nothing_is_marked(folder: Path) -> None:
    (folder / "tests/images/test_two.py").write_text("def test_third(subject): assert subject != 'a'\n")
    assert marked(folder, "tests/images", "--maxfail=1") == []  # the others did not run


def test_a_failure_that_is_of_no_image_withholds_all(folder: Path) -> None:
    (folder / "tests/images/test_two.py").write_text(TWO + "def test_mutant(): assert False\n")
    assert marked(folder, "tests/images") == []
