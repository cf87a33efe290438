"""What an image leaves out, and how image.toml says to add it: that is done, and what was left out is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assay import catalog
from assay.catalog.built import tag
from tests.images import wheels
from tests.images.conftest import Subject

pytestmark = pytest.mark.engine
ADDED_BY = re.compile(r"pip install ([\w. -]+)$")
TRY = "pip install --quiet --no-index --find-links /run/wheels {packages} && {use}"


def attempt(subject: Subject, command: str, wheels: Path) -> tuple[int, str]:
    """How a command ends and what it prints, as the image's user; without the limits of a certifying run, since
    one file of TensorFlow has more than they allow."""
    given = {str(wheels): {"bind": "/run/wheels", "mode": "ro"}}
    words = ["sh", "-c", command]
    name = tag(subject.image.name, "latest")
    container = subject.running.client.containers.run(name, words, detach=True, network_mode="none", volumes=given)
    try:
        return int(container.wait(timeout=600)["StatusCode"]), container.logs().decode(errors="replace")
    finally:
        container.remove(force=True, v=True)


def test_what_was_left_out_is_there_once_it_is_added(subject: Subject, tmp_path: Path) -> None:
    """Each module that is left out imports, and each program starts, after the command that image.toml names."""
    uses = {f"python -c 'import {module}'": reason for module, reason in subject.image.left_out.items()}
    uses |= {f"{program} --help": reason for program, reason in subject.image.programs.items()}
    named = {use: match[1] for use, reason in uses.items() if (match := ADDED_BY.search(reason))}
    if not named:
        pytest.skip("nothing that it leaves out can be added")
    pins = tmp_path / "constraints.txt"
    pins.write_text("".join(f"{name}=={version}\n" for name, version in catalog.packages(subject.image).items()))
    for number, (use, packages) in enumerate(named.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        wheels.download(folder, subject.image, "--constraint", str(pins), *packages.split())
        before, _ = attempt(subject, use, folder)
        assert before, f"without {packages}: {use} works, and image.toml says that it does not"
        after, said = attempt(subject, TRY.format(packages=packages, use=use), folder)
        assert after == 0, said
