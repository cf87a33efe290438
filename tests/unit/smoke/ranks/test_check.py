"""The check of ranks with autograd, over real processes; what is judged is tried with answers that are wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from smoke import reference
from smoke.checks import ranks as check
from smoke.checks.context import Context
from smoke.plan import PlanError, from_json
from smoke.ranks import _launch
from smoke.ranks._launch import Launched
from smoke.report.result import Fault
from tests.unit.smoke.checks.contexts import PLAN


def context(folder, **changed):
    return Context(from_json({**PLAN, **changed}), folder, deterministic=False)


def test_without_ranks_each_is_not_run_and_says_why(tmp_path):
    found = list(check.run("main", context(tmp_path)))
    assert [(one.id, one.state, one.reason) for one in found] == [
        (name, "not-run", "no ranks were asked for") for name in check.IDS
    ]


@pytest.mark.parametrize(
    ("count", "device"), [(1, "cpu"), (3, "cpu"), (64, "cpu"), (True, "cpu"), ("2", "cpu"), (2, "gpu")]
)
def test_ranks_that_cannot_be_are_a_plan_that_cannot_be_followed(count, device):
    with pytest.raises(PlanError, match="ranks"):
        from_json({**PLAN, "ranks": count, "device": device})


def test_a_plan_with_ranks_is_written_as_it_was_read():
    assert from_json({**PLAN, "ranks": 4}).as_json()["ranks"] == 4
    assert "ranks" not in from_json(PLAN).as_json()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What two ranks of autograd answer to a training."""
    made = context(tmp_path_factory.mktemp("ranks"), ranks=2)
    return made, check.launched(made, 2, ("train", "rank-image", "rank-seed"))


def test_two_ranks_train_as_one(found):
    made, launched = found
    assert launched.reason == ""
    for name in ("ranks.split", "ranks.train.f32", "ranks.same"):
        verdict = check._judged(made, name, check.answers_to(launched, "train"))
        assert verdict.state == "pass", verdict
    assert check._judged(made, "ranks.image", check.answers_to(launched, "join")).state == "pass"
    assert check._judged(made, "ranks.image", check.answers_to(launched, "rank-image")).state == "fail"
    assert check._judged(made, "ranks.split", check.answers_to(launched, "rank-seed")).state == "fail"


def changed(answers, rank, **new):
    return [{**one, **new} if at == rank else one for at, one in enumerate(answers)]


@pytest.mark.parametrize("rank", [0, 1])
def test_weights_that_differ_in_any_rank_are_seen(found, rank):
    made, launched = found
    answers = check.answers_to(launched, "train")
    name = reference.NAMES[0]
    moved = answers[rank]["weights"][name].copy()
    moved.flat[0] = np.nextafter(moved.flat[0], np.inf)
    verdict = check._judged(
        made, "ranks.same", changed(answers, rank, weights={**answers[rank]["weights"], name: moved})
    )
    assert verdict.state == "fail"
    far = {**answers[rank]["weights"], name: answers[rank]["weights"][name] + 1e-4}
    assert check._judged(made, "ranks.train.f32", changed(answers, rank, weights=far)).state == "fail"


@pytest.mark.parametrize("rows", [[0] * 16, list(range(15)), list(range(17)), [*range(15), 32]])
def test_rows_that_are_lost_or_repeated_are_seen(found, rows):
    made, launched = found
    answers = changed(check.answers_to(launched, "train"), 0, rows=rows)
    answers = changed(answers, 1, rows=list(range(16, 32)))
    assert check._judged(made, "ranks.split", answers).state == "fail"


def test_a_sum_that_is_wrong_by_one_or_over_something_else_is_seen(found):
    made, _ = found
    right = sum(check._rank.numbers(rank) for rank in range(2)).tolist()
    join = [{"count": 2, "transport": "sockets"}] * 2
    good = [{"int32": right, "float32": right}] * 2
    assert check._total(made, join, good).state == "pass"
    assert check._total(made, join, changed(good, 1, int32=[right[0] + 1, *right[1:]])).state == "fail"
    for less in ([], right[1:], right[:1]):
        assert check._total(made, join, changed(good, 1, float32=less)).state == "fail"
    for other in ({"count": 1, "transport": "sockets"}, {"count": 2, "transport": "mpi"}):
        assert check._total(made, [join[0], other], good).state == "fail"


def test_an_end_that_is_late_leaves_somebody_or_names_nobody(tmp_path):
    made = context(tmp_path, ranks=2)
    killed = Launched((), "rank 1 was killed by signal 9 (SIGKILL) at step 2", 1, "", 0.2, 0)
    hung = Launched((), "rank 1 hangs: no rank got on for 20 s (rank 0 is at step 3)", 1, "", 20.1, 0)
    well = {"killed": killed, "hung": hung}
    assert check._ended(made, well).state == "pass"
    for other in ({"seconds": 31.0}, {"left": 1}, {"blamed": 0}, {"blamed": None}, {"reason": ""}):
        for name, one in well.items():
            wrong = {**well, name: dataclasses.replace(one, **other)}
            assert check._ended(made, wrong).state == "fail", (name, other)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("killed", "rank 1 was killed by signal 9 (SIGKILL) at join"),
        ("killed", "rank 1 ended with 1 at step 2"),
        ("hung", "rank 1 ended with 1 at step 2"),
        ("hung", "rank 1 was killed by signal 6 (SIGABRT) at step 2"),
    ],
)
def test_an_end_for_another_reason_shows_nothing(tmp_path, name, reason):
    """Else a rank that never comes so far would be one that is ended and named as it has to be."""
    made = context(tmp_path, ranks=2)
    well = {
        "killed": Launched((), "rank 1 was killed by signal 9 (SIGKILL) at step 2", 1),
        "hung": Launched((), "rank 1 hangs: no rank got on for 20 s", 1),
    }
    found = check._ended(made, {**well, name: dataclasses.replace(well[name], reason=reason)})
    assert (found.state, found.reason) == ("fail", "unnamed 1 (<= 0)")


def test_ranks_whose_starter_is_killed_end_too(tmp_path):
    """Also those that begin only then."""
    start = (
        "import sys, pathlib; from tests.unit.smoke.ranks.test_check import check, context\n"
        "check.launched(context(pathlib.Path(sys.argv[1]), ranks=2), 2, ('hung',))"
    )
    outs = [_launch.out_of(tmp_path / "ranks-hung", rank) for rank in range(2)]
    with subprocess.Popen([sys.executable, "-c", start, str(tmp_path)], start_new_session=True) as starter:
        try:
            wait_for(lambda: all(one.exists() and "step 2" in one.read_text() for one in outs))
        finally:
            starter.kill()
    wait_for(lambda: not named_in_commands(tmp_path))
    for out in outs:
        out.write_text("")
    job = tmp_path / "ranks-hung/job-1.json"  # its parent is no more
    late = subprocess.run([sys.executable, "-c", check.START, str(check.SUITE.parent), str(job)], check=False)
    assert (late.returncode, outs[1].read_text()) == (check._rank.ORPHAN, "")


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def named_in_commands(folder):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found += [path] if str(folder).encode() in path.read_bytes() else []
    return found


def test_a_rank_that_fails_is_one_error_that_names_it(tmp_path, monkeypatch):
    lost = Launched(({}, {}), "rank 1 was killed by signal 9", 1, "last words")
    monkeypatch.setattr(check, "launched", lambda *_: lost)
    (only,) = check.run("main", context(tmp_path, ranks=2))
    assert not isinstance(only, Fault)
    assert (only.id, only.state) == ("ranks", "error")
    assert "rank 1 was killed by signal 9" in only.reason
    assert "last words" in only.reason
