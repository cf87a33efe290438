"""Numbers: what is one, in which range a real one lies, and on which side of its gate it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from assay.certificate.levels import Range, Wanted
from assay.certificate.report import Metric

# As the suite writes numbers. Python's float() takes more: 1_0, digits of other scripts, blanks around them.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(e[+-]?[0-9]{1,3})?", re.ASCII)
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)


def is_number(text: str, values: Range) -> bool:
    """Whether a text is a number, and in the range that a real value has."""
    pattern = _WHOLE if values.whole else _NUMBER
    return bool(pattern.fullmatch(text)) and float(values.least) <= float(text) <= float(values.most)


def not_measured(metrics: Sequence[Metric], wanted: Mapping[str, Wanted]) -> Iterator[str]:
    """Which metrics are missing, unknown, or there twice: each is wanted once, and no other."""
    names = [metric.name for metric in metrics]
    absent = [name for name in wanted if name not in names]
    if absent:
        yield f"{', '.join(absent)} was not measured"
    for name in dict.fromkeys(names):
        if name not in wanted:
            yield f"{name[:40]} is no metric of it"
        elif names.count(name) > 1:
            yield f"{name} was measured {names.count(name)} times"


def other_gates(metrics: Sequence[Metric], wanted: Mapping[str, Wanted]) -> Iterator[str]:
    """Which metrics were held against another gate, or in another way, than the suite's."""
    for metric in metrics:
        right = wanted.get(metric.name)
        if right and (metric.relation, metric.gate) != (right.relation, right.gate):
            yield f"{metric.name} was held against {_shown(metric)}, and the gate is {_shown(right)}"


def no_numbers(metrics: Sequence[Metric], wanted: Mapping[str, Wanted]) -> Iterator[str]:
    """Which values are no numbers, or none that a real run can give."""
    for metric in metrics:
        right = wanted.get(metric.name)
        if right and not is_number(metric.value, right.values):
            yield f"{metric.name} is {metric.value or 'empty'}, and no such value can be"


def beyond(metrics: Sequence[Metric], wanted: Mapping[str, Wanted]) -> Iterator[str]:
    """Which metrics are on the wrong side of the suite's gate, whatever gate the report names."""
    for metric in metrics:
        right = wanted.get(metric.name)
        if right and right.gate is not None and not _holds(metric.value, right):
            yield f"{metric.name} {_short(metric.value)} is not {right.relation} {right.gate}"


def _holds(text: str, right: Wanted) -> bool:
    """Whether it is on the right side. What is no number at all is `no_numbers`' to tell."""
    if not _NUMBER.fullmatch(text):
        return True
    if not _NUMBER.fullmatch(right.gate or ""):
        return False
    value, gate = float(text), float(right.gate or "")
    return {"<=": value <= gate, "<": value < gate, ">=": value >= gate, "==": value == gate}[right.relation]


def _shown(one: Metric | Wanted) -> str:
    return f"{one.relation} {one.gate}" if one.gate else "none"


def _short(text: str) -> str:
    return f"{float(text):.3g}"
