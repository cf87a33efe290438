"""The support table in the README: generated from certificates, never written by hand."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from assay import certificate
from assay.catalog.drift import DRIFT_INPUT
from assay.catalog.platforms import AMD64, platform_of
from assay.certificate import Certificate, Policy, Suite, Suites
from assay.certificate.origin import REMEDY, about_of
from assay.errors import UsageError, VerificationFailed

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


_Cell = Annotated[str, msgspec.Meta(max_length=256)]
_Capability = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,2}\.[0-9][af]?\Z")]
_Capabilities = Annotated[tuple[_Capability, ...], msgspec.Meta(max_length=64)]


class _Served(msgspec.Struct, frozen=True):
    wholly: _Capabilities = ()
    partly: _Capabilities = ()
    unserved: _Cell = ""


class _Stack(msgspec.Struct, frozen=True):
    """What is shown of a report's stack; all else is left alone."""

    framework: _Cell = "?"
    least_driver: _Cell = "none"
    served: _Served = _Served()


class _Plan(msgspec.Struct, frozen=True):
    labels: dict[str, _Cell] = {}


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
    """A row per image and platform of the certificates below ``folder``; levels are computed, not read.

    ``until`` is the last month of support of each image's suite.
    Raises `VerificationFailed` for a certificate that is malformed.
    """
    certificates: dict[tuple[str, str], list[Certificate]] = {}
    for path in sorted(folder.rglob("*.json")):
        opened = certificate.read(_exact(path), Policy(suites))
        certificates.setdefault((opened.image, opened.platform), []).append(opened)
    return [
        _row(image, of_it, (until or {}).get(image) or "-", "" if platform == AMD64.name else f" on {platform}")
        for (image, platform), of_it in sorted(certificates.items())
    ]


def keep(root: Path) -> None:
    """Copy the certificates of ``build/`` to ``certificates/``, where they are kept with the repository.

    They are <image>/<device>.json, and <image>/<architecture>/<device>.json for another processor than the first. The
    suite that made them is kept too, as one that is released: they are judged by it from now on.
    """
    made = root / "build" / "certificates"
    statements = {path: _exact(path) for path in sorted(made.rglob("*.json"))}
    for path, statement in statements.items():
        platform = about_of(statement).predicate.image.platform
        other = "" if platform == AMD64.name else platform_of(platform).architecture
        target = root / "certificates" / path.relative_to(made).parent / other / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    Suite.read(root).keep(root / "assay" / "suites")


def _exact(path: Path) -> dict[str, Any]:
    """A certificate's Statement. Raises `UsageError` for one of an image that is not what was locked."""
    statement = certificate.read_statement(path)
    if statement is None:
        raise UsageError(f"{path} is no certificate", "Delete it, or make it anew with `assay smoke`.")
    predicate = about_of(statement).predicate
    if predicate.derived is not None:
        raise UsageError(f"{path} is of a derived image", "Move it elsewhere: the table is of the catalog's images.")
    inputs = predicate.image.inputs
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
    return "\n".join([*lines, *("| " + " | ".join(map(_cell, row.cells())) + " |" for row in table)]) + "\n"


def _cell(text: str) -> str:
    """A text of a certificate as one cell: no line, no cell and no HTML of its own."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")


def inserted(readme: str, table: str) -> str:
    """The README with the table between its two marks; `UsageError` where it has none."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError("README.md has no marks for the table", f"Put {BEGIN} and {END} around its place.")
    return f"{before}{BEGIN}\n{table}{END}{after}"


def _row(image: str, several: list[Certificate], until: str, platform: str) -> Row:
    # A certificate of an earlier build says nothing of the image that the others are of.
    newest = max(several, key=lambda one: one.age_key).digest
    several = certificate.worst_of_newest([one for one in several if one.digest == newest])
    try:
        stack = msgspec.convert(several[0].report.stack, type=_Stack)
        labels = msgspec.convert(several[0].report.plan, type=_Plan).labels
    except (msgspec.ValidationError, RecursionError) as error:
        raise VerificationFailed(f"the certificate of {image} is malformed: {error}", REMEDY) from None
    return Row(
        image=f"`{image}`{platform}",
        framework=stack.framework,
        python=labels.get("python", "?"),
        until=until,
        cuda=labels.get("cuda", "none"),
        driver=stack.least_driver,
        served=_served(stack.served) or "CPU only",
        levels=", ".join(map(_level, several)),
    )


def _level(one: Certificate) -> str:
    return certificate.level_text(f"{one.verdict.level} ({one.device})", None, one.verdict.marks)


def _served(served: _Served) -> str:
    """The compute capabilities that all of the machine code serves, with a star those that only a part does; and
    from which one on there is no code at all.
    """
    marked = [*served.wholly, *(f"{one}*" for one in served.partly)]
    ordered = sorted(marked, key=lambda text: [int(number) for number in re.findall(r"\d+", text)])
    return "; ".join(one for one in (", ".join(ordered), served.unserved) if one)
