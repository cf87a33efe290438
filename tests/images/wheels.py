"""Packages for an image, downloaded outside it: its containers have no network in the tests."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from assay.catalog import Image

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
LACKING = re.compile(r"No matching distribution found for ([\w.-]+)$", re.MULTILINE)
PIP = (sys.executable, "-m", "pip", "download")


def download(folder: Path, image: Image, *arguments: str) -> None:
    """Run `pip download` for the image's Python, as the machine's pip is set up; fails where they cannot be had.

    Of a package that is named and has no wheel for that Python comes the source, with wheels of all that it is built
    with and needs: pip builds it in the image, as it does for a user there.
    """
    python = ("--python-version", image.labels["python"], "--only-binary", ":all:")
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    argv = [*PIP, *python, *platforms, "--dest", str(folder), *arguments]
    asked = subprocess.run(argv, capture_output=True, text=True, check=False)
    lacking = LACKING.search(asked.stderr)
    if asked.returncode and lacking and lacking[1] in arguments:
        rest = [word for word in arguments if word != lacking[1]]
        download(folder, image, *rest, *source(folder, lacking[1], image.labels["python"]))
    elif asked.returncode:
        pytest.fail(f"the wheels cannot be had: {asked.stderr.strip().splitlines()[-1]}")


def source(folder: Path, name: str, python: str) -> list[str]:
    """Download a package's source into the folder; return what builds it, and what it needs on this Python."""
    before = set(folder.iterdir())
    argv = [*PIP, "--no-deps", "--no-binary", name, "--dest", str(folder), name]
    asked = subprocess.run(argv, capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.fail(f"the source of {name} cannot be had: {asked.stderr.strip().splitlines()[-1]}")
    (archive,) = set(folder.iterdir()) - before
    told = email.message_from_bytes(_member(archive, "PKG-INFO"))
    built_with = tomllib.loads(_member(archive, "pyproject.toml").decode())["build-system"]["requires"]
    where = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    needs = [Requirement(text) for text in told.get_all("Requires-Dist", [])]
    wanted = [need for need in needs if need.marker is None or need.marker.evaluate(where)]
    return [*built_with, *(f"{need.name}{need.specifier}" for need in wanted)]


def _member(archive: Path, name: str) -> bytes:
    """A file at the top of a source's folder."""
    with tarfile.open(archive) as tar:
        path = next(path for path in tar.getnames() if re.fullmatch(rf"[^/]+/{re.escape(name)}", path))
        file = tar.extractfile(path)
        assert file is not None, f"{path} is no file"
        return file.read()
