"""What may be done in the folders that frameworks write to."""

from __future__ import annotations

import mmap
import os
from types import SimpleNamespace

import pytest

from smoke.machine.cgroups import Machine
from smoke.preflight import folders
from smoke.preflight.finding import FAIL, OK, WARN


@pytest.mark.parametrize(
    ("places", "state", "if_compiled"),
    [
        ({"/tmp": True, "/home": True}, OK, OK),
        ({"/tmp": None, "/home": True}, OK, OK),
        ({"/tmp": False, "/home": True}, WARN, WARN),
        ({"/tmp": False, "/home": False}, WARN, FAIL),
        ({"/tmp": False, "/home": None}, WARN, FAIL),
        ({"/home": None}, WARN, FAIL),
        ({}, WARN, FAIL),
    ],
)
def test_compiled_code_needs_a_folder(places, state, if_compiled):
    for compiles, expected in ((False, state), (True, if_compiled)):
        found = folders.judge_executable(places, compiles)
        assert (found.state, found.facts) == (expected, {"folders": places})
        assert ("--tmpfs /tmp:exec" in found.remedy) == (expected != OK)


def test_a_folder_is_tried(machine):
    assert folders.executable(machine, True).state == OK


def test_a_folder_that_is_mounted_noexec(machine, monkeypatch):
    def refuse(*_arguments, **_options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(mmap, "mmap", refuse)
    found = folders.executable(machine, True)
    assert found.state == FAIL
    assert "noexec" in found.message
    assert f"--tmpfs {machine.environment['HOME']}:exec" in found.remedy


def test_a_folder_that_is_not_there_is_neither(tmp_path):
    assert folders.can_execute(tmp_path / "nowhere") is None


def test_no_home_at_all(machine):
    assert list(folders.executable(Machine({}, 1, machine.proc), False).facts["folders"])[1:] == []


def test_a_working_folder(machine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert folders.working_folder(machine).state == OK
    monkeypatch.chdir("/proc")
    found = folders.working_folder(machine)
    assert found.state == WARN
    assert "--user" in found.remedy
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert "-w /work" in folders.working_folder(machine).remedy
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    found = folders.working_folder(machine)
    assert (found.state, "-w" in found.remedy) == (WARN, True)
