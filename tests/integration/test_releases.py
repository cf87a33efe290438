"""Releases beside each other: the one before, from its own wheel, this one, and one that is to come."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay import verify
from assay.certificate import Suite, Suites
from tests import published
from tests.conftest import ROOT
from tests.fake_registry import FakeRegistry, serving

PUBLISH = "import sys; from tests import published; published.put(sys.argv[1], published.fresh())"
ASSAY = "import sys; from assay.cli import main; sys.argv[0] = 'assay'; main()"


def exported(commit: str, folder: Path) -> Path:
    """The tree of a commit; the test is left out where the history has none."""
    archive = folder.with_suffix(".tar")
    argv = ["git", "-C", str(ROOT), "archive", f"--output={archive}", commit]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{commit} is not in this checkout: {done.stderr.strip()}")
    with tarfile.open(archive) as members:
        members.extractall(folder, filter="data")
    return folder


def wheel_of(tree: Path, folder: Path) -> Path:
    """The files of a tree's wheel, as pip would lay them."""
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(argv, cwd=tree, check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def ran(path: Path, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A program with the Assay of one folder before all others."""
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**os.environ, "PYTHONPATH": str(path)},
        cwd=path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the commit before, with its wheel in site/."""
    folder = tmp_path_factory.mktemp("before")
    tree = exported("HEAD~1", folder / "tree")
    shutil.move(wheel_of(tree, folder / "wheel"), tree / "site")
    return tree


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This tree as a release to come: of another suite, by which its certificates were made."""
    tree = tmp_path_factory.mktemp("later") / "tree"
    for name in ("assay", "smoke", "certificates", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "images", "data"))
    ours = Suite.read(ROOT)
    reference = tree / "smoke/reference.py"
    reference.write_text(reference.read_text() + "\n# A later release has other words here.\n")
    theirs = Suite.read(tree)
    digests = {ours.digests[name]: theirs.digests[name] for name in ours.digests} | {ours.reference: theirs.reference}
    assert hashlib.sha256(reference.read_bytes()).hexdigest() == theirs.reference
    for path in (tree / "certificates").rglob("*.json"):
        text = path.read_text()
        for old, new in digests.items():
            text = text.replace(old, new)
        path.write_text(text)
    (tree / "assay-99.0.dist-info").mkdir()
    (tree / "assay-99.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: assay\nVersion: 99.0\n")
    return tree


@pytest.fixture
def host() -> Iterator[str]:
    fake = FakeRegistry()
    with serving(fake):
        yield fake.host


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "assay.pub"
    path.write_bytes(published.key().public.pem())
    return path


def test_what_the_release_before_published_verifies_with_this_one(before: Path, host: str) -> None:
    done = ran(before, PUBLISH, host)
    assert done.returncode == 0, done.stderr
    found = verify.verify(published.reference(host), published.key().public, Suites.read(ROOT))
    assert found.passed, found.problems


def test_what_this_one_publishes_verifies_with_the_one_before_or_is_of_a_suite_that_it_does_not_know(
    before: Path, host: str, key: Path
) -> None:
    published.put(host, published.fresh())
    done = ran(before / "site", ASSAY, "verify", str(published.reference(host)), "--key", str(key), "--json")
    known = Suites.read(before / "site/assay/release", before / "site/assay/suites").all
    if published.suite() in known:
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["level"] == "E2"
    else:
        assert done.returncode == 5
        assert "is unknown to this Assay" in done.stderr


def test_of_a_release_to_come_it_is_said_which_one_is_needed(later: Path, host: str) -> None:
    done = ran(later, PUBLISH, host)
    assert done.returncode == 0, done.stderr
    found = verify.verify(published.reference(host), published.key().public, Suites.read(ROOT))
    assert not found.passed
    assert found.release == "Assay 99.0"
    assert "is unknown to this Assay: install the release that it is of" in found.problems[0]
    assert "Assay 99.0 published it, and this is Assay " in found.problems[0]
    assert verify.verify(published.reference(host), published.key().public, Suites.read(later)).passed
