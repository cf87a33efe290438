"""The smoke suites that Assay knows: the one in the checkout, and every one that it released.

A certificate is judged by the levels and the gates of its own suite, so one of yesterday stays as good as it was. A
suite that is neither released nor the checkout's is unknown, and what it found counts for nothing.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import msgspec

from assay.certificate import suite_files
from assay.certificate.levels import SCHEMA, Declared, Expansion, Levels
from assay.certificate.report import Hex, Plan, Report
from assay.errors import UsageError

RELEASED = Path(__file__).resolve().parent.parent / "suites"
GATES = ("gates.json", "levels.json")
DECLARED = ("CANNOT", "COMPILERS", "WORKLOADS", "TAKES_GPU")
EVERYDAY = ("CANNOT", "FORMATS", "EXTENSIONS")
RANKS = ("CANNOT", "TRANSPORT")


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One suite: its digests by framework, and all that its certificates are judged by."""

    digests: dict[str, Hex]
    gates_digest: Hex
    reference: Hex
    frameworks: dict[str, Declared]
    gates: dict[str, Any]
    levels: Levels

    @classmethod
    def read(cls, root: Path) -> Suite:
        """Read the suite below ``root``/smoke. Raises `UsageError` for levels that this Assay does not know."""
        smoke = root / "smoke"
        digests = suite_files.digests(smoke)
        frameworks = {name: declared(*suite_files.declaring(smoke, name)) for name in digests}
        return cls(
            digests=digests,
            gates_digest=gates_digest(smoke),
            reference=hashlib.sha256((smoke / "reference.py").read_bytes()).hexdigest(),
            frameworks=frameworks,
            gates=json.loads((smoke / "gates.json").read_bytes()),
            levels=_levels(smoke / "levels.json"),
        )

    @property
    def name(self) -> str:
        """What its file is called where it is kept: made of its digests, so that the same suite has the same name."""
        told = json.dumps([self.digests, self.gates_digest, self.reference], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def digest_of(self, framework: str) -> str:
        """The digest of the suite in an image of this framework; empty where it has no such framework."""
        return self.digests.get(framework, "")

    def expansion(self, plan: Plan) -> Expansion | None:
        """What a plan is held to; None where this suite does not know its framework."""
        about = self.frameworks.get(plan.framework.name)
        return None if about is None else Expansion(self.levels, self.gates, plan, about)

    def keep(self, folder: Path) -> Path:
        """Write it to ``folder`` as a suite that is released; returns its file."""
        path = folder / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_laid_out(msgspec.to_builtins(self)) + "\n", encoding="utf-8")
        return path


@dataclass(frozen=True)
class Suites:
    """The suites that are known: the checkout's, or the installed one, and those that this Assay released.

    The first is given as it is, or read by a function when it is first needed: that takes longer than to judge all
    certificates, and mostly these are of released suites.
    """

    checkout: Suite | Callable[[], Suite]
    released: tuple[Suite, ...] = ()

    @classmethod
    def read(cls, root: Path, released: Path = RELEASED) -> Suites:
        """The suite below ``root``/smoke, and those that this Assay released."""
        kept = (msgspec.json.decode(path.read_bytes(), type=Suite) for path in sorted(released.glob("*.json")))
        return cls(partial(Suite.read, root), tuple(kept))

    @cached_property
    def current(self) -> Suite:
        """The checkout's suite. Raises `UsageError` for levels that this Assay does not know."""
        return self.checkout if isinstance(self.checkout, Suite) else self.checkout()

    def of(self, report: Report, framework: str) -> Suite | None:
        """The suite that made a report: of its three digests each must be known, and all be of one suite."""
        told = (report.suite.sha256, report.gates.sha256, report.reference.sha256)
        return next((one for one in self._all() if _digests(one, framework) == told), None)

    def unknown(self, report: Report, framework: str) -> str:
        """What of a report's suite is not known, where `of` finds none."""
        told = (report.suite.sha256, report.gates.sha256, report.reference.sha256)
        known, at = list(self.all), 0
        while at < len(told) - 1 and (known := [one for one in known if _digests(one, framework)[at] == told[at]]):
            at += 1
        name = ("suite", "gates", "reference")[at]
        return f"its {name} ({told[at][:12]}) is unknown to this Assay: install the release that it is of"

    @property
    def all(self) -> tuple[Suite, ...]:
        """Every one of them."""
        return tuple(self._all())

    def _all(self) -> Iterator[Suite]:
        """The checkout's last."""
        yield from self.released
        yield self.current


def gates_digest(folder: Path) -> str:
    """SHA-256 over what decides, gates and levels, as a suite's digest is made: name, length and content."""
    return _hash({name: folder / name for name in GATES})


def declared(framework: Path, everyday: Path, ranks: Path) -> Declared:
    """The literals of a framework's files, read without running them; of each, what the framework cannot do.

    Raises `UsageError` where one is missing.
    """
    told = (_literals(framework, DECLARED), _literals(everyday, EVERYDAY), _literals(ranks, RANKS))
    cannot = {what: why for one in told for what, why in one.pop("cannot").items()}
    try:
        return msgspec.convert({**told[0], **told[1], **told[2], "cannot": cannot}, type=Declared)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{framework.name} does not declare what it must: {error}",
            "Write the constants as literals, as smoke/frameworks/__init__.py and smoke/everyday/__init__.py say.",
        ) from None


def _literals(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """The constants of a file by their names in small letters. Raises `UsageError` where one is missing."""
    shown = f"smoke/{path.parent.name}/{path.name}"
    if not path.is_file():
        raise UsageError(f"{shown} is missing", "Write it: docs/add-a-framework.md says what it holds.")
    found: dict[str, Any] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and value is not None and target.id in names:
            found[target.id.lower()] = ast.literal_eval(value)
    for name in names:
        if name.lower() not in found:
            raise UsageError(f"{shown} has no constant {name}", f"Write {name} as a literal.")
    return found


def _digests(suite: Suite, framework: str) -> tuple[str, str, str]:
    return suite.digest_of(framework), suite.gates_digest, suite.reference


def _levels(path: Path) -> Levels:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Levels)
    except msgspec.DecodeError as error:
        raise UsageError(f"{path.name} is malformed: {error}", "Write it as smoke/levels.json is written.") from None
    if found.schema != SCHEMA:
        raise UsageError(f"{path.name} has schema {found.schema}, not {SCHEMA}", "Use the Assay that it is of.")
    return found


def _hash(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        content = files[name].read_bytes()
        digest.update(name.encode() + b"\0%d\0" % len(content) + content)
    return digest.hexdigest()


def _laid_out(data: Mapping[str, Any]) -> str:
    """JSON with a line for each row, so that two suites can be compared line by line."""
    levels = dict(data["levels"])
    rows = {name: levels.pop(name) for name in ("results", "faults")}
    text = json.dumps({**data, "levels": {**levels, **{name: [] for name in rows}}}, indent=1)
    for name, several in rows.items():
        lines = ",\n".join("   " + json.dumps(one) for one in several)
        text = text.replace(f'  "{name}": []', f'  "{name}": [\n{lines}\n  ]')
    return text
