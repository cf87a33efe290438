"""levels.json: what each level needs, whole and exact, and what of it a plan is held to.

A row names one result. ``{backend}``, ``{workload}`` and ``{compiler}`` in its id stand for what the plan, or the
framework's file, names; the ids that follow are compared as a whole, never as prefixes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec

from assay.certificate.report import Plan, Relation

SCHEMA = 1
LEVELS = {
    "E0": "Built: locked inputs",
    "E1": "Static: the image is whole, found without a GPU",
    "E2": "CPU: the framework trains right on the CPU",
    "E3": "GPU: the same on a GPU in float32, with proof that kernels ran there",
    "E4": "GPU numerics: tf32, bf16 and fp16 are as exact as their formats allow",
}
Level = Literal["E0", "E1", "E2", "E3", "E4"]
RANK = {level: rank for rank, level in enumerate(LEVELS)}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A level; with a ``device``, it is reached there only. ``host``: facts of the host that must not be empty."""

    level: Level
    device: Literal["", "cpu", "gpu"] = ""
    host: tuple[str, ...] = ()


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a real number of a kind can be; ``whole``: written without a point or an exponent."""

    least: str
    most: str
    whole: bool = False


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"asked": "class"}):
    """A result that a level needs, or a ``mark``, which a certificate bears beside its level.

    ``class``: what must have been asked for and observed; ``{takes}``, the device that the framework takes by itself;
    ``{ranks}``, how many ranks over what.
    ``needs``: asked for only where the plan has it (``labels.cuda``, ``ranks``); without it the result is absent, or
    not run for the reason ``otherwise``. ``cannot``: the level is reached, too, where the framework declares that it
    cannot; such a result then has the id ``instead``, if there is one.
    """

    id: str
    family: str
    metrics: str | dict[str, str]
    level: Level | None = None
    mark: str = ""
    asked: str = ""
    needs: str = ""
    otherwise: str = ""
    cannot: bool = False
    instead: str = ""


class FaultRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault that is put in on purpose, and the check and the metric that must catch it."""

    id: str
    check: str
    metric: str
    needs: str = ""


class Levels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. ``workloads``: those that are no framework's own, and whether each plan has to name it.
    ``promises``: what of a plan the image's own configuration tells too.
    """

    schema: int
    levels: tuple[Step, ...]
    workloads: dict[str, bool]
    promises: tuple[Literal["labels", "framework", "backends", "workloads", "plan", "suite"], ...]
    values: dict[str, Range]
    metrics: dict[str, dict[str, str]]
    results: tuple[Row, ...]
    faults: tuple[FaultRow, ...]


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The literals of a framework's file: what it cannot do and why, its compilers, workloads of its own, and whether
    it takes a GPU by itself where there is one; of its everyday file, the formats and the extensions; and of its
    file for ranks, what carries their collectives, by the backend.
    """

    cannot: dict[str, str]
    compilers: tuple[str, ...]
    workloads: tuple[str, ...]
    takes_gpu: bool = False
    formats: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    transport: dict[str, str] = {}


@dataclass(frozen=True)
class Wanted:
    """A metric: the range of its values, its relation and gate; ``gate`` None: taken down only."""

    values: Range
    relation: Relation
    gate: str | None


@dataclass(frozen=True)
class Expected:
    """One result that a plan must have. ``not_run``: the only reason for which it is not, and then must not be, run.
    ``counts``: the level is reached without it then.
    """

    id: str
    level: Level | None
    family: str
    asked: str
    metrics: Mapping[str, Wanted]
    mark: str = ""
    not_run: str | None = None
    counts: bool = True


@dataclass(frozen=True)
class ExpectedFault:
    """One fault that a plan must have: its check's metrics, of which ``metric`` must be on the wrong side."""

    id: str
    check: str
    metric: str
    metrics: Mapping[str, Wanted]


@dataclass(frozen=True)
class Expansion:
    """The rows of a file for one plan, with the gates of one suite and the words of one framework's file."""

    levels: Levels
    gates: Mapping[str, Any]
    plan: Plan
    declared: Declared

    def results(self) -> Iterator[Expected]:
        """What must be reported, in the order of the rows; each once."""
        found: dict[str, Expected] = {}
        for row in self.levels.results:
            # A framework without compilers has no id to fill, and says under the other one that it cannot.
            for names in self._names(row.id) or (self._names(row.instead) if row.instead else ()):
                one = self._expected(row, names)
                if one is not None:
                    found.setdefault(one.id, one)
        yield from found.values()

    def faults(self) -> Iterator[ExpectedFault]:
        """The faults that must have been put in."""
        for row in self.levels.faults:
            if not self._has(row.needs):
                continue
            for names in self._names(row.id):
                check = next(one for one in self.levels.results if one.id == row.check)
                if check.cannot and self._cannot(check, names) is not None:
                    continue  # what is not run catches nothing
                yield ExpectedFault(
                    _filled(row.id, names),
                    _filled(row.check, names),
                    row.metric,
                    self._metrics(check, names),
                )

    def _expected(self, row: Row, names: Mapping[str, str]) -> Expected | None:
        there = self._has(row.needs)
        if not there and not row.otherwise:
            return None
        identity, reason = _filled(row.id, names), self._cannot(row, names)
        if reason is None and not there:
            return Expected(identity, row.level, row.family, "", {}, row.mark, row.otherwise)
        if reason is not None:
            instead = _filled(row.instead or row.id, names)
            return Expected(instead, row.level, row.family, "", {}, row.mark, reason, row.cannot)
        if "{" in identity:
            return None
        asked = self._asked(row, names)
        return Expected(identity, row.level, row.family, asked, self._metrics(row, names), row.mark)

    def _names(self, identity: str) -> list[dict[str, str]]:
        """What the placeholders of an id stand for, one mapping for each id that it makes."""
        own = [one for one in self.plan.workloads if one in self.declared.workloads]
        kinds: dict[str, tuple[str, ...]] = {
            "workload": tuple(own),
            "compiler": self.declared.compilers,
            "format": self.declared.formats,
            "extension": self.declared.extensions,
            "backend": self.plan.framework.backends or ("",),
        }
        made: list[dict[str, str]] = [{}]
        for kind, words in kinds.items():
            if f"{{{kind}}}" in identity:
                made = [{**one, kind: word} for word in words for one in made]
        return made

    def _has(self, needs: str) -> bool:
        field, _, word = needs.partition(".")
        if field == "labels":
            return bool(self.plan.labels.get(word))
        if field == "device":
            return self.plan.device == word
        if field == "ranks":
            return self.plan.ranks > 0
        return field != "workloads" or word in self.plan.workloads

    def _cannot(self, row: Row, names: Mapping[str, str]) -> str | None:
        """The reason that the framework's file gives: for the family, the result, or its class of numbers, each also
        for one backend. None where it gives none.
        """
        if "{backend}" not in row.id:
            return None  # it is about the image, whatever its framework can
        identity = _filled(row.id, {**names, "backend": ""})
        last = identity.rpartition(".")[2]
        words = (row.family, identity, f"{row.family}.{last}", last)
        told = (*words, *(f"{one}.{names['backend']}" for one in words))
        return next((self.declared.cannot[one] for one in told if one in self.declared.cannot), None)

    def _asked(self, row: Row, names: Mapping[str, str]) -> str:
        if row.asked == "{ranks}":
            return f"{self.plan.ranks} over {self.declared.transport.get(names['backend'], '')}"
        if row.asked == "{takes}":
            return "gpu" if self.plan.device == "gpu" and self.declared.takes_gpu else "cpu"
        if row.asked.startswith("{labels."):
            return self.plan.labels.get(row.asked[len("{labels.") : -1], "")
        return row.asked

    def _metrics(self, row: Row, names: Mapping[str, str]) -> dict[str, Wanted]:
        table = self.levels.metrics[row.metrics] if isinstance(row.metrics, str) else row.metrics
        return {name: self._wanted(text, {**names, "class": row.asked}) for name, text in table.items()}

    def _wanted(self, text: str, names: Mapping[str, str]) -> Wanted:
        """A metric as the file writes it: the kind of its values, then its relation and its gate's place."""
        kind, relation, place = (*text.split(), "", "")[:3]
        gate = self._gate(_filled(place, names)) if place else None
        return Wanted(self.levels.values[kind], cast("Relation", relation or "<="), gate)

    def _gate(self, place: str) -> str:
        """The gate that gates.json has at a place; one that no number is held against where it has none."""
        table: Any = self.gates
        for name in place.split("."):
            table = table.get(name) if isinstance(table, Mapping) else None
        return table if isinstance(table, str) else "no gate"


def _filled(text: str, names: Mapping[str, str]) -> str:
    """An id with its placeholders replaced; where there is no backend, without its last part."""
    for name, word in names.items():
        text = text.replace(f".{{{name}}}", f".{word}" if word else "")
    return text
