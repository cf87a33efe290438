"""What shells complete: bash is asked itself; of zsh and fish, which may be absent, what they would be given."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.catalog.files import described
from tests.conftest import ROOT
from tests.unit.cli.ran import Ran

BASH = """
eval "$(assay completion bash)"
COMP_WORDS=({words}) COMP_CWORD={at}
_assay_completion assay
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A path on which `assay` is this one."""
    program = tmp_path / "assay"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom assay.cli import main\nmain()\n"
    )
    program.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def completed(path: str, words: str) -> list[str]:
    script = BASH.format(words=words, at=len(words.split()) - 1)
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_commands_options_and_images(path: str) -> None:
    assert completed(path, "assay ver") == ["verify"]
    name = min(described(ROOT))
    assert name in completed(path, f"assay plan {name[:2]}")


def test_images_and_options_are_what_the_command_knows(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    names = sorted(described(ROOT))
    for begun, wanted in (("assay build ", names), ("assay run ", names), (f"assay run {names[0]} ", [])):
        monkeypatch.setenv("COMP_WORDS", begun)
        monkeypatch.setenv("COMP_CWORD", str(len(begun.split(" ")) - 1))
        monkeypatch.setenv("_ASSAY_COMPLETE", "bash_complete")
        found = [line.partition(",")[2] for line in assay_().out.splitlines() if line]
        assert found == wanted, begun


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_told_whom_to_ask(assay_: Callable[..., Ran], shell: str) -> None:
    ran = assay_("completion", shell)
    assert ran.code == 0
    assert f"_ASSAY_COMPLETE={shell}_complete" in ran.out


def test_a_shell_that_is_not_known_is_refused(assay_: Callable[..., Ran]) -> None:
    assert assay_("completion", "csh").code == 2
