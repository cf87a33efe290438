"""domain: what the framework's own companions train (TorchVision, Caffe's command), on shipped digits or speeches."""

from __future__ import annotations

from collections.abc import Iterator

from smoke import data
from smoke.checks import digits as judging
from smoke.checks.context import Context
from smoke.report.result import Result, judged


def run(_process: str, context: Context) -> Iterator[Result]:
    """A result for each workload of the plan that the framework's file names as its own."""
    for name in context.plan.workloads:
        if name in context.load().WORKLOADS:
            yield context.refused("domain", "domain." + name) or _trained(context, name)


def _trained(context: Context, name: str) -> Result:
    digits = data.digits()
    training = context.framework.train_workload(name, digits, judging.SEED)
    labels = digits.test_labels if training.get("data", "digits") == "digits" else data.speeches().test_labels
    metrics = judging.metrics(training, labels, context.gates["domain"][name])
    return judged("domain." + name, "domain", metrics, remedy=judging.REMEDY)
