"""The command itself: its help, its version, and what it waits for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from assay import cli
from assay.host import process
from assay.host.release import version
from tests.conftest import ROOT
from tests.unit.cli.ran import Ran


def test_help_and_version(assay_: Callable[..., Ran]) -> None:
    assert assay_("--version").out == f"assay {version()}\n"
    ran = assay_("--help")
    assert ran.code == 0
    for name in cli.cli.commands:
        assert name in ran.out
        assert assay_(name, "-h").code == 0


LIGHT = """
import sys
before = set(sys.modules)
from assay.cli import cli
for arguments in (["--version"], ["--help"], ["build", "--help"], ["doctor", "--help"]):
    try:
        cli.main(arguments)
    except SystemExit as ended:
        assert not ended.code
print("\\n" + " ".join(sorted(set(sys.modules) - before)))
"""


def test_version_and_help_import_nothing_that_commands_need() -> None:
    said = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    modules = said.splitlines()[-1].split()
    theirs = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert theirs == {"assay", "click"}
    ours = {name for name in modules if name.startswith("assay.")}
    below = {"assay.errors", "assay.host", "assay.host.foreign", "assay.host.secrets"}  # these import no more
    assert {name for name in ours if not name.startswith("assay.cli")} == below


@pytest.mark.parametrize("arguments", [[], ["engine"]])
def test_a_command_is_missing(assay_: Callable[..., Ran], arguments: list[str]) -> None:
    ran = assay_(*arguments)
    assert ran.code == 2
    assert "Usage: " in ran.out + ran.err
    assert len((ran.out + ran.err).splitlines()) > 5  # the help as it is, not squeezed into one line


def test_every_command_has_a_line_of_help() -> None:
    engine_group = cli.cli.commands["engine"]
    assert isinstance(engine_group, click.Group)
    for command in (*cli.cli.commands.values(), *engine_group.commands.values()):
        assert command.get_short_help_str()


@pytest.mark.parametrize(
    "arguments", [["engine", "status"], ["doctor"], ["publish", "--registry", "r.example", "--key", "k"], ["keygen"]]
)
def test_no_program_that_is_started_inherits_the_password(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str]
) -> None:
    """Nor does the daemon that outlives the command; whether the command wants the password or not."""
    seen = tmp_path / "seen"
    for name in ("docker", "git", "nvidia-smi", "podman", "apptainer"):
        (tmp_path / name).write_text(f"#!/bin/sh\nenv >> {seen}\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("ASSAY_PASSWORD", "of nobody's business")
    assay_(*arguments)
    process.daemon(["/usr/bin/env"], env=process.environment(), log=tmp_path / "daemon")
    deadline = time.monotonic() + 30
    while not (tmp_path / "daemon").is_file() or not (tmp_path / "daemon").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    said = (tmp_path / "daemon").read_text() + (seen.read_text() if seen.is_file() else "")
    assert "PATH=" in said
    assert "nobody" not in said
    assert arguments != ["engine", "status"] or seen.is_file()
