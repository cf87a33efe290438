"""Memory: what is measured of a process and of its group."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3] / "compare"
sys.path.insert(0, str(ROOT))
memory = importlib.import_module("memory.question")
speed = importlib.import_module("speed.question")
sys.path.remove(str(ROOT))


def test_cells_are_networks_and_batches_that_are_timed_too():
    timed = {cell.rpartition("/")[0] for cell in speed.CELLS}
    assert set(memory.CELLS) <= timed


def test_a_peak_is_seen_after_it_is_over_and_begins_anew():
    block = bytearray(os.urandom(1)) * (64 << 20)
    high = memory.peak_of_process()
    del block
    assert memory.peak_of_process() >= high - (1 << 20)  # the kernel counts in batches
    memory.restart_peak()
    assert memory.peak_of_process() < high


def test_the_group_counts_its_children():
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True, text=True
    )
    try:
        (alone,) = memory.resident_of_group(child.pid)
        assert alone > 0
    finally:
        child.communicate("\n")
    assert memory.resident_of_group(child.pid) == []
