"""ranks: several processes on one host train as one, over the framework's own collectives.

What is shown: sums of whole numbers are exact, no row of the data is lost or repeated, training follows the float64
reference of one process, all ranks are of one image and end with the same weights, a checkpoint goes on with another
number of ranks, and a rank that is killed or hangs ends all of them, and is named. The faults are put into the last
rank.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

import numpy as np

from smoke import SUITE, reference
from smoke.checks.context import Context
from smoke.checks.determinism import digest_of
from smoke.plan import of_ranks
from smoke.ranks import _launch, _rank
from smoke.ranks._launch import Launched, Limits
from smoke.report.result import Fault, Metric, Result, judged, metric, not_run

FAMILY = "ranks"
TRAINED = ("ranks.split", "ranks.train.f32", "ranks.same")
IDS = ("ranks.total", "ranks.image", *TRAINED, "ranks.checkpoint.f32", "ranks.ending")
# Which check is to catch which fault; levels.json says by which metric.
FAULTS = {
    "rank-image": "ranks.image",
    "rank-dropped": "ranks.train.f32",
    "rank-twice": "ranks.train.f32",
    "rank-seed": "ranks.split",
    "rank-stale": "ranks.train.f32",
    "rank-behind": "ranks.same",
}
# What is to be said of a rank that comes to an end in the midst of a training: which, how, and where.
ENDINGS = {
    "killed": "rank {} was killed by signal 9 (SIGKILL) at step {}",
    "hung": "rank {} hangs: no rank got on ",
}
NOT_ASKED = "no ranks were asked for"
REMEDY = "The ranks do not compute as one: compare with one process (P2), then what the framework averages, and how."
ONE_IMAGE = "Start all ranks from one image, by its digest: these have other packages, or another Python."
START = """import sys
sys.path.insert(0, sys.argv.pop(1))
from smoke.ranks._rank import main
sys.exit(main(sys.argv[1:]))"""

Answers = Sequence[Mapping[str, Any]]


def run(_process: str, context: Context) -> Iterator[Union[Fault, Result]]:
    """The results, and each fault; where the ranks do not come to their end, one error that names who is to blame."""
    reason = _cannot(context) or ("" if context.plan.ranks else NOT_ASKED)
    if reason:
        yield from (not_run(one, FAMILY, reason) for one in IDS)
        return
    count = context.plan.ranks
    found = launched(context, count, ("total", "train", "save", *FAULTS))
    if found.reason:
        yield _error(found)
        return
    yield _total(context, answers_to(found, "join"), answers_to(found, "total"))
    yield _judged(context, "ranks.image", answers_to(found, "join"))
    yield from (_judged(context, check, answers_to(found, "train")) for check in TRAINED)
    for name, check in FAULTS.items():
        verdict = _judged(context, check, answers_to(found, name))
        yield Fault(name, verdict.id, verdict.state, verdict.metrics, verdict.reason)
    further = launched(context, count // 2, ("continue",))
    yield _error(further) if further.reason else _checkpoint(context, found, further)
    yield _ended(context, {name: launched(context, count, (name,), part=1 / len(ENDINGS)) for name in ENDINGS})


def launched(context: Context, count: int, tasks: Sequence[str], part: float = 1) -> Launched:
    """So many ranks, each of which does these tasks in turn, in this part of the time that a result may take."""
    checkpoints, folder = context.scratch / "ranks", context.scratch / f"ranks-{tasks[0]}"
    checkpoints.mkdir(exist_ok=True)
    folder.mkdir()
    job = {
        "framework": context.plan.framework,
        "count": count,
        "ports": _launch.free_ports(count + 2),
        "tasks": list(tasks),
        "folder": str(checkpoints),
        "parent": os.getpid(),
    }
    commands = []
    for rank in range(count):
        path = folder / f"job-{rank}.json"
        path.write_text(json.dumps({**job, "rank": rank, "out": str(_launch.out_of(folder, rank))}))
        commands.append([sys.executable, "-c", START, str(SUITE.parent), str(path)])
    switches = of_ranks(context.plan.framework, "SWITCHES")
    limits = Limits(whole=context.plan.seconds_per_check * 0.9 * part)
    return _launch.launch(commands, folder, dict(one.split("=", maxsplit=1) for one in switches), limits)


def answers_to(found: Launched, task: str) -> Answers:
    """What each rank answered to a task; what came of a training as arrays."""
    kinds = ("gradients", "weights")
    return [
        {**one, **{kind: {name: np.asarray(v) for name, v in one[kind].items()} for kind in kinds if kind in one}}
        for one in (answers[task] for answers in found.answers)
    ]


def _cannot(context: Context) -> str:
    """The reason why the framework's file says that it cannot, with any backend or with this one; else empty."""
    reasons: Mapping[str, str] = of_ranks(context.plan.framework, "CANNOT")
    return reasons.get(FAMILY, "") or reasons.get(f"{FAMILY}.{context.backend}", "")


def _error(found: Launched) -> Result:
    evidence = f"\nlast output: {found.output}" if found.output else ""
    return Result(FAMILY, FAMILY, "error", (found.reason + evidence)[-4000:], "See what that rank said last.")


def _total(context: Context, joined: Answers, answers: Answers) -> Result:
    right = np.sum([_rank.numbers(rank) for rank in range(len(answers))], axis=0)
    sums = [np.asarray(one[kind]) for one in answers for kind in _rank.KINDS]
    wrong = sum(right.size if each.shape != right.shape else int((each != right).sum()) for each in sums)
    transport = of_ranks(context.plan.framework, "TRANSPORT").get(context.backend, "")
    told = sorted({f"{one['count']} over {one['transport']}" for one in joined})
    metrics = [metric("wrong", wrong, _gates(context)["wrong"]), metric("numbers", sum(each.size for each in sums))]
    return judged("ranks.total", FAMILY, metrics, f"{context.plan.ranks} over {transport}", ", ".join(told), REMEDY)


def _judged(context: Context, check: str, answers: Answers) -> Result:
    """The verdict on what the ranks answered, the same for the real thing and for those with a fault in them."""
    gates = _gates(context)
    if check == "ranks.image":
        different = len({one["environment"] for one in answers}) - 1
        return judged(check, FAMILY, [metric("different", different, gates["different"])], remedy=ONE_IMAGE)
    if check == "ranks.split":
        rows = Counter(row for one in answers for row in one["rows"])
        lost = reference.BATCH - len(rows.keys() & set(range(reference.BATCH)))
        repeated = sum(rows.values()) - len(rows)
        metrics = [metric("lost", lost, gates["lost"]), metric("repeated", repeated, gates["repeated"])]
        return judged(check, FAMILY, metrics, remedy=REMEDY)
    if check == "ranks.same":
        different = len({digest_of(one["weights"]) for one in answers}) - 1
        return judged(check, FAMILY, [metric("different", different, gates["different"])], remedy=REMEDY)
    return judged(check, FAMILY, _trained(context, answers), "f32", "f32", REMEDY)


def _trained(context: Context, answers: Answers) -> list[Metric]:
    """How far the ranks are from one process in float64: the loss over all of them, the worst of their weights."""
    problem = reference.problem()
    right = reference.train(problem)
    losses = np.mean([one["losses"] for one in answers], axis=0)
    errors = [reference.errors({**one, "losses": losses}, right, problem.weights) for one in answers]
    worst = {name: float(np.max([one[name] for one in errors])) for name in ("loss", "grad", "dW")}
    return [metric(name, value, context.gates["parity"]["f32"][name]) for name, value in worst.items()]


def _checkpoint(context: Context, saved: Launched, further: Launched) -> Result:
    """The losses of both halves, the gradients of the first, and the weights of the second."""
    before = answers_to(saved, "save")[0]
    first = np.mean([one["losses"] for one in answers_to(saved, "save")], axis=0)
    second = np.mean([one["losses"] for one in answers_to(further, "continue")], axis=0)
    whole = [
        {**one, "losses": [*first, *second], "gradients": before["gradients"]}
        for one in answers_to(further, "continue")
    ]
    return judged("ranks.checkpoint.f32", FAMILY, _trained(context, whole), "f32", "f32", REMEDY)


def _ended(context: Context, endings: Mapping[str, Launched]) -> Result:
    """Whether one rank's end was that of all: how long it took, who is left, and how often the rank was not named."""
    gates, bad, all_of_them = _gates(context), context.plan.ranks - 1, [endings[name] for name in ENDINGS]
    right = [words.format(bad, _rank.FAULT_AT - 1) for words in ENDINGS.values()]
    unnamed = sum(one.blamed != bad or not one.reason.startswith(say) for one, say in zip(all_of_them, right))
    metrics = [
        metric("seconds", max(one.seconds for one in all_of_them), gates["seconds"]),
        metric("left", sum(one.left for one in all_of_them), gates["left"]),
        metric("unnamed", unnamed, gates["unnamed"]),
    ]
    told = "; ".join(one.reason or "it ended well" for one in all_of_them)
    return judged("ranks.ending", FAMILY, metrics, remedy=told)


def _gates(context: Context) -> Mapping[str, str]:
    gates: Mapping[str, str] = context.gates[FAMILY]
    return gates
