"""What the smoke suite writes inside an image: its report, typed and bounded."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from assay.errors import VerificationFailed
from assay.host import strict

SCHEMA = 1
LARGEST_REPORT = 16 * 2**20

State = Literal["pass", "fail", "error", "not-run"]
Relation = Literal["<=", "<", ">=", "=="]
Decimal = Annotated[str, msgspec.Meta(max_length=64)]
Name = Annotated[str, msgspec.Meta(max_length=256)]
Text = Annotated[str, msgspec.Meta(max_length=2**20)]  # what a framework said, among others
Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


def _most(count: int) -> msgspec.Meta:
    """How many there may be of something: far more than there are, and few enough to be judged and shown."""
    return msgspec.Meta(max_length=count)


class Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number and its gate, as decimal strings; no gate: taken down only."""

    name: Name
    value: Decimal
    gate: Decimal | None = None
    relation: Relation = "<="


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one check found. ``switches`` are what the suite set that a user does not."""

    id: Name
    family: Name
    state: State
    reason: Text
    remedy: Text
    requested: Text
    observed: Text
    metrics: Annotated[tuple[Metric, ...], _most(64)]
    seconds: Decimal
    switches: Annotated[tuple[Text, ...], _most(64)] = ()


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a check made of a fault put in on purpose; ``fail`` means caught."""

    id: Name
    check: Name
    state: State
    metrics: Annotated[tuple[Metric, ...], _most(64)]
    reason: Text


class SuiteVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which suite it was."""

    version: Name
    sha256: Hex


class Digest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The hash of a file, or of several."""

    sha256: Hex


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the suite writes inside an image (schema 1)."""

    schema: int
    suite: SuiteVersion
    gates: Digest
    reference: Digest
    image: Name
    plan: dict[str, Any]
    host: dict[str, Any]
    stack: dict[str, Any]
    results: Annotated[tuple[Result, ...], _most(2048)]
    faults: Annotated[tuple[Fault, ...], _most(512)]
    complete: bool


class PlannedFramework(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The framework that a plan is about; ``backends`` are those that it leaves the computing to."""

    name: Word
    module: Word
    backends: Annotated[tuple[Word, ...], _most(16)] = ()


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the suite was asked to do (schema 1).

    ``stderr``: patterns of what the first lines may write there. ``uncalled``: libraries that may crash when
    they are asked for their version without a driver, each with the reason. ``ranks``: how many processes are to
    train as one.
    """

    schema: Annotated[int, msgspec.Meta(ge=SCHEMA, le=SCHEMA)]
    image: Word
    device: Literal["cpu", "gpu"]
    framework: PlannedFramework
    workloads: Annotated[tuple[Word, ...], _most(64)]
    labels: Annotated[dict[Name, Name], _most(64)]
    packages: Annotated[dict[Name, Name], _most(4096)]
    seconds_per_check: int
    stderr: Annotated[tuple[Text, ...], _most(256)] = ()
    uncalled: Annotated[dict[Name, Text], _most(256)] = {}
    programs: Annotated[dict[Name, Text], _most(256)] = {}
    left_out: Annotated[dict[Name, Text], _most(256)] = {}
    ranks: Annotated[int, msgspec.Meta(ge=0, le=32)] = 0


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
        head = strict.parsed(data)
        if not isinstance(head, dict):
            raise VerificationFailed("the report is malformed: it is no object", todo)
        if head.get("schema") != SCHEMA:
            raise VerificationFailed(f"the report has schema {repr(head.get('schema'))[:40]}, not {SCHEMA}", todo)
        return msgspec.json.decode(data, type=Report)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise VerificationFailed(f"the report is malformed: {error}", todo) from None
