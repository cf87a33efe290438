"""What keeps the machine busy, read from recorded files of /proc."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.host import load

# As Linux 6 writes them: user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice.
STAT = "cpu  {user} 3729 19472 {idle} 4606 0 627 {steal} 0 0\ncpu0 31888 1858 9554 16014 1631 0 124 1122 0 0\n"
PROCESS = "{pid} ({name}) R 1 812 812 0 -1 4194304 1531 0 0 0 {ticks} 5 0 0 20 0 1 0 4711 2490368 700\n"
CPUINFO = (
    "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7763\nprocessor\t: 1\nmodel name\t: other\n"
)
MEMINFO = "MemTotal:       24683656 kB\nMemFree:        1000 kB\n"


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., load.Busy]:
    """What is found where so many ticks pass in each state: 400 are two processors for two seconds."""
    monkeypatch.setattr(load, "processors", lambda: 2)

    def write(user: int = 0, idle: int = 0, steal: int = 0, **ticks: int) -> None:
        (tmp_path / "stat").write_text(STAT.format(user=64302 + user, idle=29391 + idle, steal=2235 + steal))
        for pid, (name, spent) in enumerate(ticks.items(), 812):
            (tmp_path / str(pid)).mkdir(exist_ok=True)
            line = PROCESS.format(pid=pid, name=name.replace("_", " ("), ticks=100 + spent)
            (tmp_path / str(pid) / "stat").write_text(line)

    def found(user: int = 0, idle: int = 0, steal: int = 0, **ticks: int) -> load.Busy:
        write(**dict.fromkeys(ticks, 0))
        monkeypatch.setattr(time, "sleep", lambda seconds: write(user, idle, steal, **ticks))
        return load.busy(2.0, tmp_path)

    return found


def test_a_machine_that_does_nothing(proc: Callable[..., load.Busy]) -> None:
    assert proc(idle=400, bash=0) == load.Busy(0.0)


def test_who_keeps_it_busy_is_named_most_busy_first(proc: Callable[..., load.Busy]) -> None:
    found = proc(user=300, idle=100, bash=0, cc1plus=200, ld_x=90, sh=7, make=3)
    assert found == load.Busy(1.5, ("cc1plus (813)", "ld (x (814)", "sh (815)"))


def test_what_other_guests_of_the_host_take_counts_too(proc: Callable[..., load.Busy]) -> None:
    assert proc(idle=200, steal=200) == load.Busy(1.0)


def test_a_process_that_began_meanwhile_is_named_too(
    proc: Callable[..., load.Busy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "4711").mkdir()
    proc(idle=400, bash=0)
    text = (tmp_path / "812/stat").read_text()
    born = text.replace("812 (bash)", "4711 (pip)")
    monkeypatch.setattr(time, "sleep", lambda seconds: (tmp_path / "4711/stat").write_text(born))
    assert load.busy(1.0, tmp_path).by == ("pip (4711)",)


def test_the_machine_in_words(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    (tmp_path / "meminfo").write_text(MEMINFO)
    assert load.processor(tmp_path) == "AMD EPYC 7763"
    assert load.memory_bytes(tmp_path) == 24683656 * 1024
    assert load.processor(tmp_path / "none"), "the architecture, at least"
    assert load.memory_bytes(tmp_path / "none") == 0


def test_this_machine() -> None:
    found = load.busy(0.05)
    assert 0 <= found.processors <= load.processors()
    assert set(load.usable()) <= set(range(4096))
    assert load.kernel()
