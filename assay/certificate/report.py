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
Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number and its gate, as decimal strings; no gate: taken down only."""

    name: str
    value: Decimal
    gate: Decimal | None = None
    relation: Relation = "<="


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one check found. ``switches`` are what the suite set that a user does not."""

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


class SuiteVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which suite it was."""

    version: str
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
    image: str
    plan: dict[str, Any]
    host: dict[str, Any]
    stack: dict[str, Any]
    results: tuple[Result, ...]
    faults: tuple[Fault, ...]
    complete: bool


class PlannedFramework(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The framework that a plan is about; ``backends`` are those that it leaves the computing to."""

    name: Word
    module: Word
    backends: tuple[Word, ...] = ()


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the suite was asked to do (schema 1).

    ``stderr``: patterns of what the first lines may write there. ``uncalled``: libraries that may crash when
    they are asked for their version without a driver, each with the reason.
    """

    schema: Annotated[int, msgspec.Meta(ge=SCHEMA, le=SCHEMA)]
    image: Word
    device: Literal["cpu", "gpu"]
    framework: PlannedFramework
    workloads: tuple[Word, ...]
    labels: dict[str, str]
    packages: dict[str, str]
    seconds_per_check: int
    stderr: tuple[str, ...] = ()
    uncalled: dict[str, str] = {}


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
