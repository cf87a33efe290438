"""A third party builds a published image again, from what is signed in the registry, and gets the same digest."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from assay import engine
from tests.integration.conftest import Newcomer, assay, publish
from tests.registries import Registry

pytestmark = pytest.mark.engine


def commit(folder: Path) -> str:
    """Everything in a folder as one commit of a repository of its own."""
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    (folder / ".gitignore").write_text("/build/\n__pycache__/\n")
    for words in (["init", "-q"], ["add", "--all"], [*who, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_same_digest_comes_out(
    certified: Newcomer,
    registry: Registry,
    key: Path,
    running: engine.Engine,
) -> None:
    made = commit(certified.checkout)
    publish(certified, registry, key)
    reference = f"{registry.host}/team/newcomer:latest"
    done = assay(certified.checkout, "rebuild", reference, "--key", str(key.with_suffix(".pub")), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert (said["same"], said["commit"], said["rebuilt"]) == (True, made, certified.built.digest)
    assert not running.tags("assay-rebuild/newcomer")
