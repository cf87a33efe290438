"""Wheels for an image, downloaded outside it: its containers have no network in the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from assay.catalog import Image

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def download(folder: Path, image: Image, *arguments: str) -> None:
    """Run `pip download` for the image's Python, as the machine's pip is set up; fails where they cannot be had."""
    python = ("--python-version", image.labels["python"], "--only-binary", ":all:")
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    argv = [sys.executable, "-m", "pip", "download", *python, *platforms, "--dest", str(folder), *arguments]
    asked = subprocess.run(argv, capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.fail(f"the wheels cannot be had: {asked.stderr.strip().splitlines()[-1]}")
