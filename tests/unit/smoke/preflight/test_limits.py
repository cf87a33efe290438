"""The limits of resources that a container was started with."""

from __future__ import annotations

import pytest

from smoke.preflight import limits
from smoke.preflight.finding import FAIL, OK, WARN


@pytest.mark.parametrize(("limit", "state"), [(64, FAIL), (256, WARN), (1023, WARN), (1024, OK), (-1, OK)])
def test_open_files(limit, state):
    found = limits.judge_open_files(limit)
    assert (found.state, found.facts) == (state, {"limit": limit})
    assert ("--ulimit nofile=" in found.remedy) == (state != OK)


@pytest.mark.parametrize(("limit", "state"), [(65536, WARN), (2**26, OK), (-1, OK)])
def test_locked_memory(limit, state):
    found = limits.judge_locked_memory(limit)
    assert found.state == state
    assert ("--ulimit memlock=-1" in found.remedy) == (state == WARN)


@pytest.mark.parametrize(("limit", "state"), [(2**20, WARN), (2**23, OK), (-1, OK)])
def test_stack(limit, state):
    found = limits.judge_stack(limit)
    assert found.state == state
    assert ("--ulimit stack=67108864" in found.remedy) == (state == WARN)


def test_the_limits_of_this_process_are_read():
    assert [one().id for one in (limits.open_files, limits.locked_memory, limits.stack)] == [
        "files",
        "memlock",
        "stack",
    ]
