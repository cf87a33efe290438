"""Certificates: a smoke report in, an in-toto Statement out, and the level computed from the evidence alone.

Nothing that a report says of itself is trusted: each verdict is taken again from its metrics, with the gates of the
suite that this checkout (or this installation) holds, and the level follows from the verdicts.
"""

from __future__ import annotations

import hashlib
import json
import math
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from assay.errors import VerificationFailed

SCHEMA = 1
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:assay:environment-certificate:v1"
LARGEST_REPORT = 16 * 2**20

State = Literal["pass", "fail", "error", "not-run"]
Decimal = Annotated[str, msgspec.Meta(max_length=64)]
Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]

LEVELS = {
    "E0": "Built: locked inputs",
    "E1": "Static: the image is whole, found without a GPU",
    "E2": "CPU: the framework trains right on the CPU",
    "E3": "GPU: the same on a GPU in float32, with proof that kernels ran there",
    "E4": "GPU numerics: tf32, bf16 and fp16 in their classes, determinism",
}
# What each level needs to have passed, by the first part of a result's id. A framework may declare that it cannot do
# one of ALLOWED_ABSENT, with the reason; nothing else may be missing.
STATIC = ("static.contract", "static.packages")
STATIC_CUDA = ("static.closure", "static.coverage", "static.loaded", "static.driver")
LOADED = ("static.loaded",)  # with each backend, if the plan names backends, as all of TRAINING and NUMERICS
TRAINING = (
    "imports",
    "device",
    "P0",
    "P1.matmul.f32",
    "P2.train.f32",
    "P3",
    "P4",
    "digits",
    "checkpoint",
    "loader",
    "cost",
)
NUMERICS = ("P2.train.tf32", "P2.train.bf16", "P2.train.fp16")


class Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number and its gate, as decimal strings; no gate: taken down only."""

    name: str
    value: Decimal
    gate: Decimal | None = None
    relation: Literal["<=", "<", ">=", "=="] = "<="


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one check found."""

    id: str
    family: str
    state: State
    reason: str
    remedy: str
    requested: str
    observed: str
    metrics: tuple[Metric, ...]
    seconds: Decimal
    switches: tuple[str, ...] = ()


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a check made of a fault put in on purpose; ``fail`` means caught."""

    id: str
    check: str
    state: State
    metrics: tuple[Metric, ...]
    reason: str


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which suite it was."""

    version: str
    sha256: Hex


class Digest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The hash of one file."""

    sha256: Hex


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the suite writes inside an image (schema 1)."""

    schema: int
    suite: Suite
    gates: Digest
    reference: Digest
    image: str
    plan: dict[str, Any]
    host: dict[str, Any]
    stack: dict[str, Any]
    results: tuple[Result, ...]
    faults: tuple[Fault, ...]
    complete: bool


@dataclass(frozen=True)
class Known:
    """The suite of this checkout: what a report must come from, and the gates it is judged by."""

    suite: str
    gates_digest: str
    reference: str
    gates: Mapping[str, Any]

    @classmethod
    def read(cls, root: Path) -> Known:
        """Read the suite below ``root``/smoke."""
        smoke = root / "smoke"
        gates = (smoke / "gates.json").read_bytes()
        return cls(
            suite=suite_digest(smoke),
            gates_digest=hashlib.sha256(gates).hexdigest(),
            reference=hashlib.sha256((smoke / "reference.py").read_bytes()).hexdigest(),
            gates=json.loads(gates),
        )


@dataclass(frozen=True)
class Verdict:
    """What the evidence amounts to. ``problems`` are (id, what is wrong) pairs; empty means that all held."""

    level: str
    problems: tuple[tuple[str, str], ...]
    not_run: tuple[tuple[str, str], ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed, and the level that was asked for is reached."""
        return not self.problems


def suite_digest(folder: Path) -> str:
    """SHA-256 over the suite's files: for each, by sorted relative POSIX path, path + NUL + content + NUL.

    The suite computes the same inside the image; the two meet in the report.
    """
    digest = hashlib.sha256()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in sorted(files):
        if "__pycache__" not in name.split("/") and not name.endswith(".pyc"):
            digest.update(name.encode() + b"\0" + files[name].read_bytes() + b"\0")
    return digest.hexdigest()


def read_report(path: Path) -> Report:
    """Read a report. Missing, truncated, oversized or of another schema: `VerificationFailed`."""
    todo = "Run the smoke suite again; if it stays so, read the container's last output."
    try:
        # An image wrote it: a link or a pipe in its place would lead elsewhere, or nowhere.
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode):
            raise VerificationFailed(f"the report {path.name} is no plain file", todo)
        if facts.st_size > LARGEST_REPORT:
            raise VerificationFailed(f"the report {path.name} is larger than {LARGEST_REPORT >> 20} MiB", todo)
        data = path.read_bytes()
    except FileNotFoundError:
        raise VerificationFailed("the suite wrote no report", todo) from None
    except OSError as error:
        raise VerificationFailed(f"the report cannot be read: {error.strerror}", todo) from None
    return parse_report(data)


def parse_report(data: bytes) -> Report:
    """Decode a report's bytes; whatever is wrong with them is a `VerificationFailed`."""
    todo = "Run the smoke suite again; build the image again if its suite is an older one."
    try:
        head = msgspec.json.decode(data, type=dict[str, Any])
        if head.get("schema") != SCHEMA:
            raise VerificationFailed(f"the report has schema {head.get('schema')!r}, not {SCHEMA}", todo)
        return msgspec.json.decode(data, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VerificationFailed(f"the report is malformed: {error}", todo) from None


def check_origin(report: Report, plan: Mapping[str, Any], known: Known) -> None:
    """Raise `VerificationFailed` unless the report answers this plan with this suite."""
    if report.image != plan["image"]:
        raise VerificationFailed(
            f"the report is of {report.image!r}, not of {plan['image']!r}", "Run the smoke suite in the right image."
        )
    if report.plan != dict(plan):
        raise VerificationFailed("the report answers another plan", "Run the smoke suite again.")
    if (report.suite.sha256, report.gates.sha256, report.reference.sha256) != (
        known.suite,
        known.gates_digest,
        known.reference,
    ):
        raise VerificationFailed(
            f"the image's smoke suite ({report.suite.sha256[:12]}) is not this checkout's ({known.suite[:12]})",
            "Run `assay build`: only the last, small step of the image is made anew.",
        )


# The verdict


def judge(report: Report, known: Known) -> Verdict:
    """Judge a report from its raw evidence."""
    problems: list[tuple[str, str]] = []
    for result in report.results:
        wrong = problem_of(result, known.gates)
        if wrong:
            problems.append((result.id, wrong))
    problems += _fault_problems(report, known.gates)
    if not report.complete:
        problems.append(("suite", "only a part of the plan was run"))
    device = str(report.plan.get("device"))
    level = _level(report, {name for name, _ in problems}, device)
    needed = "E3" if device == "gpu" else "E2"
    if not problems and level < needed:
        problems.append(
            ("level", f"the evidence amounts to {level}, and {needed} was asked for: see what was not run")
        )
    return Verdict(
        level=level,
        problems=tuple(problems),
        not_run=tuple((result.id, result.reason) for result in report.results if result.state == "not-run"),
    )


def problem_of(result: Result, gates: Mapping[str, Any]) -> str | None:
    """What is wrong with one result, taken from its metrics and not from its state; None if nothing."""
    if result.state == "not-run":
        return _not_run_problem(result)
    if result.state == "error":
        return result.reason or "ended in error"
    table = _gates_of(result.id, result.requested, gates)
    wrong = [problem for metric in result.metrics for problem in [_metric_problem(metric, table)] if problem]
    if result.requested != result.observed:
        wrong.insert(0, f"asked for {result.requested or 'nothing'}, observed {result.observed or 'nothing'}")
    if not result.metrics:
        wrong.append("nothing was measured")
    absent = table.keys() - {metric.name for metric in result.metrics}
    if absent and (_family(result.id) not in _ONE_OF or absent == table.keys()):
        wrong.append(f"{', '.join(sorted(absent))} was not measured")
    if wrong:
        return "; ".join(wrong)
    return (result.reason or "failed") if result.state == "fail" else None


def _not_run_problem(result: Result) -> str | None:
    if result.metrics:
        return "not run, they say, and yet it was measured"
    return None if result.reason.strip() else "not run, and no reason given"


def _metric_problem(metric: Metric, table: Mapping[str, str]) -> str | None:
    """What is wrong with a number: it is none, it is on the wrong side, or it was held against another gate."""
    value = _number(metric.value)
    if not math.isfinite(value):
        return f"{metric.name} is {metric.value}"
    wanted = _wanted(metric, table)
    if wanted != (metric.relation, metric.gate):
        against = f"{metric.relation} {metric.gate}" if metric.gate else "none"
        right = f"{wanted[0]} {wanted[1]}" if wanted[1] else "none"
        return f"{metric.name} was held against {against}, and the gate is {right}"
    if metric.gate is None:
        return None
    gate = _number(metric.gate)
    held = {"<=": value <= gate, "<": value < gate, ">=": value >= gate, "==": value == gate}[metric.relation]
    return None if held else f"{metric.name} {value:.3g} is not {metric.relation} {metric.gate}"


def _wanted(metric: Metric, table: Mapping[str, str]) -> tuple[str, str | None]:
    """The relation and the gate that a metric is to have; one that gates.json does not know decides nothing."""
    if metric.name in table:
        return _RELATIONS.get(metric.name, "<="), table[metric.name]
    return metric.relation, None


# Ids begin with their family, but for those that have a short name. Families that train are held to the gates of
# their class of numbers too. Of what gates.json has for a family, each result has all, or in _ONE_OF one.
_SHORT = {"P0": "exact", "P1": "precision", "P2": "parity", "P3": "determinism", "P4": "faults"}
_TRAINED = ("parity", "compile")
_ONE_OF = ("exact",)
_AT_LEAST = ("accuracy", "compiled", "bytes", "kernels", "libraries", "loaded", "served", "packages", "files")
_RELATIONS = {**dict.fromkeys(_AT_LEAST, ">="), "error": "<", "bits": "<"}


def _family(identity: str) -> str:
    first = identity.split(".", 1)[0]
    return _SHORT.get(first, first)


def _gates_of(identity: str, requested: str, gates: Mapping[str, Any]) -> dict[str, str]:
    """The gates that gates.json has for a check, by metric. A check that names no class is in the one asked for."""
    family = _family(identity)
    words = set(identity.split("."))
    table: dict[str, str] = {}
    if family in _TRAINED:
        classes = gates.get("parity", {})
        named = next((name for name in classes if name in words), requested)
        table.update(classes.get(named, {}))
    if family != "parity":
        table.update({path[-1]: value for path, value in _leaves(gates.get(family, {})) if set(path[:-1]) <= words})
    return table


def _leaves(table: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(table, Mapping):
        for name, value in table.items():
            yield from _leaves(value, (*path, str(name)))
    elif isinstance(table, str) and path:
        yield path, table


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _promises_cuda(report: Report) -> bool:
    labels = report.plan.get("labels")
    return isinstance(labels, Mapping) and bool(labels.get("cuda"))


def _backends(report: Report) -> tuple[str, ...]:
    """The backends that the plan names; without a name the one of a framework that computes by itself."""
    framework = report.plan.get("framework")
    named = framework.get("backends") if isinstance(framework, Mapping) else None
    return tuple(str(one) for one in named) if isinstance(named, list) and named else ("",)


def _named(identity: str, backend: str) -> str:
    """An id as the suite gives it to what it finds with a backend."""
    return f"{identity}.{backend}" if backend else identity


def _fault_problems(report: Report, gates: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A certificate is void if a fault got through, or was never put in."""
    put_in = {fault.id for fault in report.faults}
    wanted = gates.get("faults", {})
    for name in (
        *(_named(name, backend) for backend in _backends(report) for name in wanted.get("put_in", ())),
        *(wanted.get("put_in_cuda", ()) if _promises_cuda(report) else ()),
    ):
        if name not in put_in:
            yield f"fault {name}", "was not put in"
    for fault in report.faults:
        if fault.state == "error":
            yield f"fault {fault.id}", f"ended in error: {fault.reason}"
        elif fault.state != "fail" or not _caught(fault, gates):
            yield f"fault {fault.id}", f"was not caught by {fault.check}"


def _caught(fault: Fault, gates: Mapping[str, Any]) -> bool:
    """Whether a number of the fault's is on the wrong side of the gate that a true run is held to."""
    table = _gates_of(fault.check, "", gates)
    judged = (
        metric
        for metric in fault.metrics
        if math.isfinite(_number(metric.gate or "nan")) and _wanted(metric, table) == (metric.relation, metric.gate)
    )
    return any(_metric_problem(metric, table) for metric in judged)


def _level(report: Report, bad: set[str], device: str) -> str:
    if bad - {result.id for result in report.results}:
        return "E0"  # a fault got through, or a part is missing: nothing above what was built counts
    if not _all_passed(report, (*STATIC, *(STATIC_CUDA if _promises_cuda(report) else ())), bad):
        return "E0"
    if _promises_cuda(report) and not _with_each(report, LOADED, bad):
        return "E0"
    if not _with_each(report, TRAINING, bad) or bad:
        return "E1"
    if device != "gpu":
        return "E2"
    return "E4" if _with_each(report, NUMERICS, bad) else "E3"


def _with_each(report: Report, needed: Iterable[str], bad: set[str]) -> bool:
    """Whether all of it passed with every backend."""
    return all(_all_passed(report, needed, bad, backend) for backend in _backends(report))


def _all_passed(report: Report, needed: Iterable[str], bad: set[str], backend: str = "") -> bool:
    """Whether each needed part has a result (with this backend) that passed, and none that did not."""
    with_it = [one for one in report.results if one.id.endswith(_named("", backend))]
    for prefix in needed:
        of_it = [one for one in with_it if one.id == prefix or one.id.startswith(f"{prefix}.")]
        if not any(one.state == "pass" for one in of_it) or any(one.id in bad for one in of_it):
            return False
    return True


# The Statement


def statement(report: Report, verdict: Verdict, image: Mapping[str, Any], engine: str) -> dict[str, Any]:
    """The in-toto Statement of one image on one device.

    ``image`` holds name, digest, configDigest, diffIDs, the digests of the locked inputs and the parent's digest.
    """
    report_data = msgspec.to_builtins(report)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": image["name"], "digest": {"sha256": image["digest"].removeprefix("sha256:")}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "schema": SCHEMA,
            "timeCreated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "image": {
                "configDigest": image["configDigest"],
                "diffIDs": list(image["diffIDs"]),
                "platform": "linux/amd64",
                "inputs": image["inputs"],
                "parent": image.get("parent"),
            },
            "suite": {
                "version": report.suite.version,
                "digest": {"sha256": report.suite.sha256},
                "gates": {"sha256": report.gates.sha256},
                "reference": {"sha256": report.reference.sha256},
            },
            "plan": {**report.plan, "engine": engine},
            "host": report.host,
            "stack": report.stack,
            "results": report_data["results"],
            "faults": report_data["faults"],
            "complete": report.complete,
            "notRun": _levels_not_run(report, verdict),
            "achieved": verdict.level,
            "marks": [],
        },
    }


def report_of(statement_data: Mapping[str, Any]) -> Report:
    """The report that a Statement carries, to be judged again; `VerificationFailed` if it carries none."""
    try:
        predicate = statement_data["predicate"]
        if predicate["schema"] != SCHEMA:
            raise VerificationFailed(
                f"the certificate has schema {predicate['schema']!r}, not {SCHEMA}", "Have the image certified again."
            )
        plan = {name: value for name, value in predicate["plan"].items() if name != "engine"}
        data = {
            "schema": predicate["schema"],
            "suite": {"version": predicate["suite"]["version"], "sha256": predicate["suite"]["digest"]["sha256"]},
            "gates": predicate["suite"]["gates"],
            "reference": predicate["suite"]["reference"],
            "image": plan["image"],
            "plan": plan,
            **{name: predicate[name] for name in ("host", "stack", "results", "faults", "complete")},
        }
        return msgspec.convert(data, type=Report)
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise VerificationFailed(
            f"the certificate is malformed: {error}", "Have the image certified again."
        ) from None


def _levels_not_run(report: Report, verdict: Verdict) -> list[dict[str, str]]:
    rows = [{"level": name, "reason": reason} for name, reason in verdict.not_run]
    if report.plan.get("device") != "gpu":
        rows += [{"level": level, "reason": "no GPU was asked for"} for level in ("E3", "E4")]
    return [*rows, {"level": "E5", "reason": "one device was asked for"}, {"level": "E6", "reason": "one node"}]


def read_statement(path: Path) -> dict[str, Any] | None:
    """A certificate's Statement, or None where there is none that can be read."""
    try:
        data = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(data, indent=1, sort_keys=False) + "\n", encoding="utf-8")
    partial.replace(path)
