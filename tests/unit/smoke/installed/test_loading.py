"""Libraries loaded in processes of their own: what they do there is their own outcome."""

from __future__ import annotations

import _ctypes
from pathlib import Path

import pytest

from smoke.installed import loading
from tests.unit.smoke.environment import compiled

REAL = Path(_ctypes.__file__).read_bytes()


def test_libraries_are_loaded_each_in_its_own_process(tmp_path: Path) -> None:
    good, cut = tmp_path / "good.so", tmp_path / "cut.so"
    good.write_bytes(REAL)
    cut.write_bytes(REAL[:4096])
    found = {Path(outcome.path).name: outcome for outcome in loading.load_all([good, cut], {})}
    assert found["good.so"].loaded
    assert not found["cut.so"].loaded
    assert found["cut.so"].why


ENDS = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void start(void)
{ puts("Could not load library\\nlibcudnn_graph.so.9"); fflush(stdout); %s; }
"""


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("abort()", "signal 6 (SIGABRT): Could not load library libcudnn_graph.so.9"),
        ("_exit(3)", "exit code 3: Could not load library libcudnn_graph.so.9"),
    ],
)
def test_an_end_of_the_process_is_its_library_s_own_outcome(tmp_path: Path, end: str, why: str) -> None:
    (outcome,) = loading.load_all([compiled(ENDS % end, tmp_path / "x.so")], {})
    assert (outcome.loaded, outcome.why) == (False, f"loading it ended the process with {why}")


def test_a_library_that_comes_to_no_end_is_ended(tmp_path: Path) -> None:
    """By an alarm, which this library does not wait for."""
    (outcome,) = loading.load_all([compiled(ENDS % "raise(SIGALRM)", tmp_path / "x.so")], {})
    assert (outcome.loaded, outcome.why) == (False, "loading it came to no end")


CRASHES = """
int cuptiGetVersion(unsigned *version) { *(volatile int *)0 = 1; *version = 130200; return 0; }
"""


def test_a_version_call_that_crashes_is_told_with_the_call(tmp_path: Path) -> None:
    (outcome,) = loading.load_all([compiled(CRASHES, tmp_path / "libcupti.so.13")], {})
    assert outcome.loaded
    assert outcome.crashed == "cuptiGetVersion() ended the process with signal 11 (SIGSEGV)"


def test_a_version_call_that_is_refused_is_a_failure(tmp_path: Path) -> None:
    refuses = "int cuptiGetVersion(unsigned *version) { *version = 0; return 999; }"
    (outcome,) = loading.load_all([compiled(refuses, tmp_path / "libcupti.so.13")], {})
    assert (outcome.loaded, outcome.why) == (False, "cuptiGetVersion answers with the error 999")


@pytest.mark.parametrize(("number", "version"), [(130101, "13.1"), (18, "")])
def test_cupti_names_its_cuda_from_13_on(number: int, version: str, tmp_path: Path) -> None:
    answers = f"int cuptiGetVersion(unsigned *version) {{ *version = {number}; return 0; }}"
    (outcome,) = loading.load_all([compiled(answers, tmp_path / "libcupti.so.13")], {})
    assert (outcome.loaded, outcome.version) == (True, version)
