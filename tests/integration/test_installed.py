"""What a researcher gets: the wheel in an empty environment of each Python, with no engine, no checkout, no home."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import uv

from assay.host.network import uv_environment
from tests import published
from tests.conftest import ROOT
from tests.debian_python import debian_python
from tests.fake_registry import FakeRegistry, serving

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# What leads to the package index; nothing else of this machine's environment is given.
NETWORK = ("PIP_", "UV_", "SSL_", "REQUESTS_", "HTTP_", "HTTPS_", "NO_PROXY", "http_", "https_", "no_proxy")


def python(version: str) -> str | None:
    """A Python of this version: on the path, one of pyenv's, or Debian's; None where there is none."""
    kept = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    there = [*sorted(kept.glob(f"{version}.*/bin/python{version}")), shutil.which(f"python{version}")]
    for each in there:
        if each and subprocess.run([each, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(each)
    made = debian_python(version)
    return str(made) if made else None


@cache
def first() -> str:
    """The oldest Python that is here."""
    return next(version for version in PYTHONS if python(version))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def registry() -> Iterator[FakeRegistry]:
    fake = FakeRegistry()
    with serving(fake):
        published.put(fake.host, published.fresh())
        yield fake


class Installed:
    """The command in an environment of its own, in an empty folder."""

    def __init__(self, folder: Path, version: str, interpreter: str, wheel: Path) -> None:
        self.folder = folder / "empty"
        self.folder.mkdir()
        self.env = {name: value for name, value in os.environ.items() if name.startswith(NETWORK)}
        self.env |= {"HOME": str(self.folder), "PATH": f"{folder}/venv/bin", "ASSAY_CACHE": str(folder / "cache")}
        settings = Path.home() / ".config/pip/pip.conf"
        if settings.is_file() and "PIP_CONFIG_FILE" not in self.env:
            self.env["PIP_CONFIG_FILE"] = str(settings)
        # Debian's own Python has no pip to give to a venv.
        without = [] if version == first() else ["--without-pip"]
        subprocess.run([interpreter, "-m", "venv", *without, str(folder / "venv")], check=True, capture_output=True)
        # pip once, as a researcher would; uv for the other Pythons, which takes a tenth of the time.
        if version == first():
            argv = [f"{folder}/venv/bin/python", "-m", "pip", "install", "--disable-pip-version-check", str(wheel)]
            env = self.env
        else:
            argv = [uv.find_uv_bin(), "pip", "install", "--python", f"{folder}/venv/bin/python", str(wheel)]
            env = uv_environment()
        began = time.monotonic()
        subprocess.run(argv, env=env, check=True, capture_output=True, timeout=300)
        self.seconds = time.monotonic() - began
        self.program = f"{folder}/venv/bin/assay"

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *words],
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture(scope="module", params=PYTHONS)
def assay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    interpreter = python(request.param)
    if interpreter is None:
        pytest.skip(f"no Python {request.param} here")
    return Installed(tmp_path_factory.mktemp(request.param), request.param, interpreter, wheel)


def test_it_says_its_version_and_completes(assay: Installed, wheel: Path) -> None:
    assert assay("--version").stdout == f"assay {wheel.name.split('-')[1]}\n"
    assert "_ASSAY_COMPLETE" in assay("completion", "zsh").stdout


def test_it_verifies(assay: Installed, registry: FakeRegistry, tmp_path: Path) -> None:
    key = tmp_path / "assay.pub"
    key.write_bytes(published.key().public.pem())
    began = time.monotonic()
    done = assay("verify", str(published.reference(registry.host)), "--key", str(key), "--json")
    print(f"installed in {assay.seconds:.1f} s, verified in {time.monotonic() - began:.1f} s")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["level"] == "E2"


def test_it_says_which_image_runs_where(assay: Installed) -> None:
    done = assay("doctor", "--driver", "580", "--compute-capability", "9.0", "--json")
    assert done.returncode == 0, done.stderr
    assert {row["image"] for row in json.loads(done.stdout)["images"]} >= {published.name()}


def test_it_prints_the_table_of_the_release(assay: Installed) -> None:
    done = assay("table")
    assert done.returncode == 0, done.stderr
    assert published.name() in done.stdout


def test_what_needs_a_checkout_or_an_engine_says_so(assay: Installed) -> None:
    done = assay("table", "--check")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 2)
    assert "in no checkout of Assay" in done.stderr
    assay.env["ASSAY_ENGINE"] = "system"
    done = assay("run", "python", "-c", "0")
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 2), done.stderr
