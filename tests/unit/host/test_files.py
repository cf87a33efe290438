"""What several threads, processes and commands share: made once, whole or not at all."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import pytest

from assay.host import files

SIDE_BY_SIDE = 4
# Makes a folder slowly, as an unpacked archive would be; says "made" or why it waited.
MAKER = """
import sys, time
from pathlib import Path
from assay.host import files
place = Path(sys.argv[1])
def make(partial):
    partial.mkdir()
    print("made", flush=True)
    for number in range(20):
        (partial / str(number)).write_text("x")
        time.sleep(0.02)
print("ready", flush=True)
sys.stdin.readline()
files.once(place, make, "the place", lambda text: print(text, flush=True))
assert len(list(place.iterdir())) == 20, "it was seen before it was whole"
"""


def test_four_processes_and_four_threads_make_it_once(tmp_path: Path) -> None:
    place = tmp_path / "cache/tools/place"
    made: list[int] = []
    told: list[str] = []

    def make(partial: Path) -> None:
        made.append(1)
        partial.mkdir()
        for number in range(20):
            (partial / str(number)).write_text("x")
            time.sleep(0.02)

    def one(_: int) -> int:
        files.once(place, make, "the place", told.append)
        return len(list(place.iterdir()))

    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(SIDE_BY_SIDE)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        assert list(pool.map(one, range(SIDE_BY_SIDE))) == [20] * SIDE_BY_SIDE
    said = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0] * SIDE_BY_SIDE
    assert len(made) + sum("made" in lines for lines in said) == 1
    waited = [line for line in (*told, *(line for lines in said for line in lines)) if line != "made"]
    assert waited
    assert all(line.startswith("waiting for the place") for line in waited), "whoever waits says for what"
    assert any(re.search(r"\(in (this command|/\S+, process \d+)\)$", line) for line in waited), "and for whom"
    assert [path.name for path in place.parent.iterdir() if not path.name.startswith(".")] == ["place"]


def test_what_fails_is_not_there_and_the_next_one_makes_it(tmp_path: Path) -> None:
    place = tmp_path / "place"

    def fail(partial: Path) -> None:
        partial.mkdir()
        (partial / "half").touch()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        files.once(place, fail, "it", print)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    (tmp_path / "place.partial").mkdir()
    (tmp_path / "place.partial/left").touch()  # of a command that was killed
    files.once(place, lambda partial: partial.mkdir(), "it", print)
    assert list(place.iterdir()) == []


def test_a_file_is_made_as_a_folder_is(tmp_path: Path) -> None:
    place = files.once(tmp_path / "file", lambda partial: partial.write_text("whole") and None, "it", print)
    assert place.read_text() == "whole"
    files.once(place, lambda partial: pytest.fail("again"), "it", print)


def test_whoever_waits_is_told_again_and_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SAY_EVERY", 0.2)
    told: list[str] = []
    stop = threading.Event()
    threading.Timer(0.8, stop.set).start()
    with files.alone(tmp_path / "place", "it", print), pytest.raises(CancelledError):  # noqa: SIM117
        with files.alone(tmp_path / "place", "the other", told.append, stop):
            raise AssertionError("both have it")
    assert told[:2] == ["waiting for the other (in this command)"] * 2


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    script = MAKER.replace("time.sleep(0.02)", "time.sleep(60)")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "place")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == [b"ready\n", b"made\n"]
        process.kill()
    assert (tmp_path / "place.partial").exists()
    files.once(tmp_path / "place", lambda partial: partial.mkdir(), "it", print)
    assert list((tmp_path / "place").iterdir()) == []


def test_workspaces_are_apart_and_those_of_the_dead_are_removed(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom assay.host import files\n"
        "with files.workspace(Path(sys.argv[1]), 'layout') as made:\n"
        "    print(made, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        with files.workspace(tmp_path, "layout") as ours:
            assert theirs.is_dir(), "it is still used"
            assert ours != theirs
        assert not ours.exists()
        process.kill()
    assert theirs.is_dir()
    with files.workspace(tmp_path, "layout"):
        assert not theirs.exists()


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder/file"
    files.replace(path, b"one")
    files.replace(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644

    def full(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        files.replace(path, b"three")
    assert [one.name for one in path.parent.iterdir()] == ["file"]
