"""domain: what the framework's own companions train (TorchVision, Caffe's command), on shipped digits or speeches."""

from __future__ import annotations

from collections.abc import Iterator

from smoke import data
from smoke.checks import digits as judging
from smoke.checks.context import Bench
from smoke.report.result import Result, judged, not_run


def run(_process: str, bench: Bench) -> Iterator[Result]:
    """A result for each workload of the plan that the framework's file names as its own."""
    for name in bench.plan.workloads:
        if name not in bench.load().WORKLOADS:
            continue
        check_id = "domain." + name
        reason = bench.cannot("domain", check_id)
        if reason:
            yield not_run(check_id, "domain", reason)
            continue
        digits = data.digits()
        found = bench.framework.train_workload(name, digits, judging.SEED)
        labels = digits.test_labels if found.get("data", "digits") == "digits" else data.speeches().test_labels
        metrics = judging.metrics(found, labels, bench.gates["domain"][name])
        yield judged(check_id, "domain", metrics, remedy=judging.REMEDY)
