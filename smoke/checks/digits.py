"""digits: a small CNN on real handwritten digits, to a stated accuracy on images that it has not seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from smoke import data
from smoke.checks.context import Context
from smoke.report.result import Metric, Result, judged, metric

ID = "digits.cnn"
SEED = 1
REMEDY = "The network did not learn: if P2 passes, look at the random initialisation and the optimizer."


def run(_process: str, context: Context) -> Iterator[Result]:
    """One result."""
    yield context.refused("digits", ID) or _trained(context)


def _trained(context: Context) -> Result:
    digits = data.digits()
    training = context.framework.train_digits(digits, SEED)
    found = metrics(training, digits.test_labels, context.gates["digits"])
    return judged(ID, "digits", found, remedy=REMEDY)


def metrics(found: Mapping[str, Any], labels: np.ndarray, gates: Mapping[str, str]) -> list[Metric]:
    """Accuracy by the test labels, what naming the most frequent label would reach, the last loss (finite) and the
    time of a step; only the first is judged.
    """
    return [
        metric("accuracy", accuracy(found["predictions"], labels), gates["accuracy"], ">="),
        metric("majority", np.bincount(labels).max() / len(labels)),
        metric("last_loss", found["losses"][-1]),
        metric("seconds_per_step", found["seconds_per_step"]),
    ]


def accuracy(predictions: Any, labels: np.ndarray) -> float:
    """The share of labels predicted. Raises ValueError unless there is one prediction for each."""
    found = np.asarray(predictions)
    if found.shape != labels.shape:
        raise ValueError(f"predictions have shape {found.shape}, expected {labels.shape}")
    return float(np.mean(found == labels))
