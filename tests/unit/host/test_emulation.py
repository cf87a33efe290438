"""What Linux says of the emulators that it knows, as it said it on a Debian host."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.host import emulation

ARM64 = """\
enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
PYTHON = "enabled\ninterpreter /usr/bin/python3.13\nflags: \noffset 0\nmagic f30d0d0a\n"


@pytest.mark.parametrize(
    ("entry", "runs"),
    [
        (ARM64, True),
        (ARM64.replace("enabled", "disabled"), False),
        (ARM64.replace("POCF", "POC"), False),  # not to be found in another root folder
        (ARM64.replace("b700", "3e00"), False),
        (ARM64.replace("7f45", "7f46"), False),
        (PYTHON, False),
        ("enabled\n", False),
        ("", False),
    ],
)
def test_an_emulator_that_serves(entry: str, runs: bool, tmp_path: Path) -> None:
    (tmp_path / "python3.13").write_text(PYTHON)
    (tmp_path / "qemu-aarch64").write_text(entry)
    (tmp_path / "register").mkdir()  # like the file there, it cannot be read
    assert emulation.runs("aarch64", "x86_64", tmp_path) is runs


def test_a_machine_runs_its_own(tmp_path: Path) -> None:
    assert emulation.runs("aarch64", "aarch64", tmp_path / "absent")
    assert not emulation.runs("x86_64", "aarch64", tmp_path / "absent")


@given(st.text())
def test_no_entry_makes_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "entries"
    folder.mkdir(exist_ok=True)
    (folder / "qemu").write_text(text, encoding="utf-8", errors="replace")
    assert emulation.runs("aarch64", "x86_64", folder) in {True, False}
