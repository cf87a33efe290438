"""The support table in the README: generated from certificates, never written by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay import certificate
from assay.catalog.drift import DRIFT_INPUT
from assay.certificate import Certificate, Policy, Suite, Suites
from assay.errors import UsageError

BEGIN = "<!-- certificates: made by `assay table --write` -->"
END = "<!-- end of certificates -->"
COLUMNS = (
    "image",
    "framework",
    "Python",
    "Debian until",
    "CUDA",
    "least driver",
    "compute capabilities",
    "certified",
)


@dataclass(frozen=True)
class Row:
    """One image in the table, as its certificates have it."""

    image: str
    framework: str
    python: str
    until: str
    cuda: str
    driver: str
    served: str
    levels: str

    def cells(self) -> tuple[str, ...]:
        """The row's texts, in the order of COLUMNS."""
        return (self.image, self.framework, self.python, self.until, self.cuda, self.driver, self.served, self.levels)


def rows(folder: Path, suites: Suites, until: Mapping[str, str | None] | None = None) -> list[Row]:
    """A row per image of the certificates in ``folder``/<image>/<device>.json; levels are computed, not read.

    ``until`` is the last month of support of each image's suite.
    Raises `VerificationFailed` for a certificate that is malformed.
    """
    certificates: dict[str, list[Certificate]] = {}
    for path in sorted(folder.rglob("*.json")):
        opened = certificate.read(_exact(path), Policy(suites))
        certificates.setdefault(opened.image, []).append(opened)
    return [_row(image, of_it, (until or {}).get(image) or "-") for image, of_it in sorted(certificates.items())]


def keep(root: Path) -> None:
    """Copy the certificates of ``build/`` to ``certificates/``, where they are kept with the repository.

    The suite that made them is kept too, as one that is released: they are judged by it from now on.
    """
    made = root / "build" / "certificates"
    paths = sorted(made.rglob("*.json"))
    for path in paths:
        _exact(path)
    for path in paths:
        target = root / "certificates" / path.relative_to(made)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    Suite.read(root).keep(root / "assay" / "suites")


def _exact(path: Path) -> dict[str, Any]:
    """A certificate's Statement. Raises `UsageError` for one of an image that is not what was locked."""
    statement = certificate.read_statement(path)
    if statement is None:
        raise UsageError(f"{path} is no certificate", "Delete it, or make it anew with `assay smoke`.")
    inputs = statement.get("predicate", {}).get("image", {}).get("inputs", {})
    drifted = sorted(name for name in inputs if name.startswith(DRIFT_INPUT))
    if drifted:
        raise UsageError(
            f"{path} is of an image that has drifted: {', '.join(f'{name} {inputs[name]}' for name in drifted[:5])}",
            "Run `assay lock` for its base, build and certify it again: the table is of what is locked.",
        )
    return statement


def markdown(table: list[Row]) -> str:
    """The table as Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "| " + " | ".join("---" for _ in COLUMNS) + " |"]
    return "\n".join([*lines, *("| " + " | ".join(row.cells()) + " |" for row in table)]) + "\n"


def inserted(readme: str, table: str) -> str:
    """The README with the table between its two marks; `UsageError` where it has none."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError("README.md has no marks for the table", f"Put {BEGIN} and {END} around its place.")
    return f"{before}{BEGIN}\n{table}{END}{after}"


def _row(image: str, certificates: list[Certificate], until: str) -> Row:
    report = certificates[0].report
    stack = report.stack
    labels = report.plan.get("labels", {})
    return Row(
        image=f"`{image}`",
        framework=str(stack.get("framework", "?")),
        python=str(labels.get("python", "?")),
        until=until,
        cuda=str(labels.get("cuda", "none")),
        driver=str(stack.get("least_driver", "none")),
        served=_served(stack) or "CPU only",
        levels=", ".join(f"{each.verdict.level} ({each.device})" for each in certificates),
    )


def _served(stack: Mapping[str, Any]) -> str:
    """Return the compute capabilities that all of the machine code serves; those that only a part of it serves have a
    star. Then, from which one on there is no code at all.
    """
    served = stack.get("served") or {}
    marked = [*map(str, served.get("wholly", ())), *(f"{capability}*" for capability in served.get("partly", ()))]
    ordered = sorted(marked, key=lambda text: [int(number) for number in re.findall(r"\d+", text)])
    return "; ".join(filter(None, (", ".join(ordered), str(served.get("unserved", "")))))
