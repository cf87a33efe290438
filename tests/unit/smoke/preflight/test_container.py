"""What the container is given."""

from __future__ import annotations

import pytest

from smoke.machine import cgroups
from smoke.machine.cgroups import Machine
from smoke.preflight import container
from smoke.preflight.finding import FAIL, OK, WARN


@pytest.mark.parametrize(("size", "state"), [(64 * 2**20, WARN), (2**30, OK)])
def test_shared_memory(size, state):
    found = container.judge_shared_memory(size, size)
    assert found.state == state
    assert ("--shm-size=1g" in found.remedy) == (state == WARN)


def test_no_shared_memory_at_all(machine):
    machine.shm.rmdir()
    assert container.shared_memory(machine).state == FAIL


def test_a_home(machine):
    assert container.home(machine).state == OK


@pytest.mark.parametrize("name", ["", "/proc/nowhere"])
def test_a_home_that_cannot_be_written_to(machine, name):
    found = container.home(Machine({"HOME": name}, 1, machine.proc))
    assert (found.state, bool(found.remedy)) == (WARN, True)


def test_a_uid_without_a_name(machine):
    assert container.user(machine).state == OK
    assert container.user(Machine({}, 54321)).state == WARN


@pytest.mark.parametrize(("free", "state"), [(2**20, FAIL), (2**28, WARN), (2**31, OK)])
def test_room_for_temporary_files(tmp_path, free, state):
    assert container.judge_scratch(tmp_path, free).state == state


def test_memory_without_a_limit(machine):
    found = container.memory(machine)
    assert (found.state, found.facts) == (OK, {"bytes": 8 * 2**30, "limited": False})


def test_memory_limited_by_version_2(machine):
    (machine.cgroup / "memory.max").write_text("1073741824\n")
    found = container.memory(machine)
    assert (found.state, found.facts) == (WARN, {"bytes": 2**30, "limited": True})
    assert "--memory" in found.remedy


def test_memory_limited_by_version_1(machine):
    (machine.cgroup / "memory").mkdir()
    path = machine.cgroup / "memory/memory.limit_in_bytes"
    path.write_text("9223372036854771712\n")
    assert cgroups.memory_limit(machine) is None
    path.write_text("4294967296\n")
    assert container.memory(machine).facts == {"bytes": 2**32, "limited": True}


@pytest.mark.parametrize(
    ("line", "folder", "file"),
    [
        ("0::/docker/abc\n", "docker", "memory.max"),
        ("9:cpu,cpuacct:/x\n5:memory:/docker/abc\n", "memory/docker/abc", "memory.limit_in_bytes"),
    ],
)
def test_a_limit_further_down_or_up_counts(machine, line, folder, file):
    (machine.proc / "self/cgroup").write_text(line)
    (machine.cgroup / folder).mkdir(parents=True)
    (machine.cgroup / folder / file).write_text("3221225472\n")
    assert cgroups.memory_limit(machine) == 3 * 2**30


@pytest.mark.parametrize("text", ["max\n", "", "nonsense\n", "-1\n"])
def test_no_limit(machine, text):
    (machine.cgroup / "memory.max").write_text(text)
    (machine.cgroup / "cpu.max").write_text(text + " 100000\n")
    assert cgroups.memory_limit(machine) is None
    assert cgroups.processor_limit(machine) is None


def test_processors_limited_by_version_2(machine):
    (machine.cgroup / "cpu.max").write_text("150000 100000\n")
    found = container.processors(machine)
    assert (found.state, found.facts) == (WARN, {"cores": 8, "limit": 1.5})
    assert "OMP_NUM_THREADS=2" in found.remedy


def test_processors_limited_by_version_1(machine):
    (machine.cgroup / "cpu").mkdir()
    (machine.cgroup / "cpu/cpu.cfs_period_us").write_text("100000\n")
    (machine.cgroup / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert container.processors(machine).state == OK
    (machine.cgroup / "cpu/cpu.cfs_quota_us").write_text("400000\n")
    assert cgroups.processor_limit(machine) == 4
