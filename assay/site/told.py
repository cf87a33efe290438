"""An outcome of the comparison in a few words, and the sentences that follow from several."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from assay.compare import Answer, Comparison, Question, Ratio
from assay.site.frameworks import look, looks
from assay.site.units import size, span, time

_QUESTIONS, _CLAIMS = (Path(__file__).with_name(f"{name}.toml") for name in ("questions", "claims"))
_PLACE = re.compile(r"\{(\w+)(?::(bytes|seconds|count))?\}")
NOT_MEASURED = "not measured yet"

Degree = Literal["whole", "half", "none", "failed", "unknown"]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of a cell that has these values; of these cells only, where there are any.

    ``half`` and ``none`` are how far it is what was asked for.
    """

    says: str
    when: dict[str, Any] = {}
    cells: tuple[str, ...] = ()
    half: bool = False
    none: bool = False


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What answers a claim, as claims.toml says."""

    question: str
    lead: str = ""
    count: dict[str, Any] = {}
    among: dict[str, Any] = {}
    sum: str = ""
    cells: tuple[str, ...] = ()
    without: str = ""
    frameworks: tuple[str, ...] = ()
    framework: str = ""
    thing: str = ""
    less: str = ""
    more: str = ""


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of the frameworks, and what answers it."""

    text: str
    answer: tuple[Ask, ...]


class _Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    claim: tuple[Claim, ...]


@dataclass(frozen=True)
class Words:
    """A cell of a framework in words."""

    says: str
    degree: Degree


class Telling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the cells of a question are told, and what explains the words."""

    legend: str = ""
    rules: tuple[Rule, ...] = ()


@functools.cache
def tellings() -> Mapping[str, Telling]:
    """How questions are told, in the order of the pages."""
    return msgspec.toml.decode(_QUESTIONS.read_bytes(), type=dict[str, Telling])


def in_order(questions: Iterable[str]) -> list[str]:
    """Questions in the order of the pages."""
    places = {name: place for place, name in enumerate(tellings())}
    return sorted(questions, key=lambda name: (places.get(name, len(places)), name))


def telling(question: str) -> Telling:
    """How a question is told."""
    return tellings().get(question) or Telling()


@functools.cache
def claims() -> tuple[Claim, ...]:
    """What is said of the frameworks."""
    return msgspec.toml.decode(_CLAIMS.read_bytes(), type=_Claims).claim


def words(answer: Answer) -> Words:
    """A cell in a few words."""
    if answer.outcome == "not measured":
        return Words(answer.outcome, "unknown")
    if answer.outcome != "done":
        return Words(answer.outcome, "none" if answer.outcome == "cannot" else "failed")
    values = _values(answer)
    for rule in telling(answer.question).rules:
        names = {name for name, _ in _PLACE.findall(rule.says)}
        if names <= values.keys() and _has(values, rule.when) and answer.cell in (rule.cells or {answer.cell}):
            return Words(_filled(rule.says, values), "none" if rule.none else "half" if rule.half else "whole")
    return Words("done", "whole")


def sentence(ask: Ask, comparison: Comparison) -> str:
    """What results say to a claim, in a sentence; empty where there are none."""
    found = [one for one in comparison.answers if one.question == ask.question and one.outcome != "not measured"]
    if not found:
        return ""
    if ask.framework:
        return _of_ratios(ask, comparison.questions[ask.question], found)
    chosen = [one for one in found if _asked(ask, one.cell)]
    named = ask.frameworks or ordered({one.framework for one in chosen})
    told = [_count(ask, name, [one for one in chosen if one.framework == name]) for name in named]
    return f"{ask.lead}: {', '.join(told)}."


def ordered(frameworks: Iterable[str]) -> list[str]:
    """Frameworks in the order of every page, which is no ranking."""
    places = {name: place for place, name in enumerate(looks())}
    return sorted(frameworks, key=lambda name: (places.get(name, len(places)), name))


def by_verdict(ratios: Iterable[tuple[str, Ratio]], less: str, more: str) -> list[tuple[str, str]]:
    """What several ratios show, as (verdict, names) pairs: below 1, above 1, no difference, or unstable."""
    verdicts = (f"shown {less}", f"shown {more}", "no difference shown", "unstable")
    groups: dict[str, list[str]] = {verdict: [] for verdict in verdicts}
    for name, ratio in ratios:
        side = f"shown {less if ratio.interval.middle < 1 else more}"
        groups[side if ratio.verdict == "shown" else ratio.verdict].append(f"{name} {span(ratio.interval)}")
    return [(verdict.capitalize(), "; ".join(names)) for verdict, names in groups.items() if names]


def _asked(ask: Ask, cell: str) -> bool:
    return (not ask.cells or cell in ask.cells) and not (ask.without and cell.endswith(ask.without))


def _count(ask: Ask, framework: str, cells: Sequence[Answer]) -> str:
    title = look(framework).title
    if not cells:
        return f"{title} {NOT_MEASURED}"
    done = [values for one in cells if one.outcome == "done" and _has(values := _values(one), ask.among)]
    if ask.sum:
        numbers = [values[ask.sum] for values in done if isinstance(values.get(ask.sum), int)]
        return f"{title} {sum(numbers):,}"
    return f"{title} {sum(_has(values, ask.count) for values in done)} of {len(done if ask.among else cells)}"


def _of_ratios(ask: Ask, question: Question, found: Iterable[Answer]) -> str:
    """How a framework's first measure compares with PyTorch's, both as written: in how many cells, and how far."""
    measure = next(iter(question.measures))
    ratios = [
        one.ratios[measure]
        for one in found
        if one.framework == ask.framework and question.baseline(one.cell) == one.cell and measure in one.ratios
    ]
    title = look(ask.framework).title
    if not ratios:
        return f"{ask.thing} of {title}: {NOT_MEASURED}."
    shown = [one for one in ratios if one.verdict == "shown"]
    less = sum(one.interval.middle < 1 for one in shown)
    ends = [f(ratios, key=lambda one: one.interval.middle).interval for f in (min, max)]
    return (
        f"{ask.thing} of {title}, as written, against PyTorch's: shown {ask.less} in {less} and {ask.more} in "
        f"{len(shown) - less} of {len(ratios)} cells; the ratios go from {span(ends[0])} to {span(ends[1])}."
    )


def _values(answer: Answer) -> dict[str, Any]:
    line = answer.line
    if line is None:
        return {}
    lines = {} if line.lines is None else {"lines": line.lines}
    return {**line.values, **lines, "values": list(line.values)}


def _has(values: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(values.get(name) == value for name, value in wanted.items())


def _filled(text: str, values: Mapping[str, Any]) -> str:
    return _PLACE.sub(lambda found: _shown(values[found[1]], found[2]), text)


def _shown(value: Any, unit: str | None) -> str:
    if unit == "count":
        return str(len(value)) if isinstance(value, list) else "?"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return size(int(value)) if unit == "bytes" else time(value) if unit else f"{value:,}"
    return str(value)
