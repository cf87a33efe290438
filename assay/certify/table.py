"""The support table in the README: generated from certificates, never written by hand."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from assay import certificate
from assay.catalog import Image
from assay.catalog.drift import DRIFT_INPUT
from assay.catalog.platforms import AMD64, platform_of
from assay.catalog.support import ended
from assay.certificate import Certificate, Policy, Suite, Suites
from assay.certificate.origin import REMEDY, about_of
from assay.errors import UsageError, VerificationFailed

BEGIN = "<!-- certificates: made by `assay table --write` -->"
END = "<!-- end of certificates -->"
CITED = ("# images: made by `assay table --write`", "# end of images")  # the same in CITATION.cff
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
    digest: str
    ended: str = ""

    def cells(self) -> tuple[str, ...]:
        """The row's texts, in the order of COLUMNS."""
        image = self.image + self.ended
        return (image, self.framework, self.python, self.until, self.cuda, self.driver, self.served, self.levels)


def rows(folder: Path, suites: Suites, images: Mapping[str, Image] | None = None) -> list[Row]:
    """A row per image and platform of the certificates below ``folder``; levels are computed, not read.

    ``images`` are those of the catalog, which say how long Debian supports them, and upstream.
    Raises `VerificationFailed` for a certificate that is malformed.
    """
    certificates: dict[tuple[str, str], list[Certificate]] = {}
    for path in sorted(folder.rglob("*.json")):
        opened = certificate.read(_exact(path), Policy(suites))
        certificates.setdefault((opened.image, opened.platform), []).append(opened)
    return [
        _row(image, of_it, (images or {}).get(image), "" if platform == AMD64.name else f" on {platform}")
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


def citation(table: list[Row]) -> str:
    """The images as identifiers of the Citation File Format: each by its digest, which stands for its bits."""
    return "".join(
        f"  - type: other\n    value: {json.dumps(row.digest)}\n    description: {json.dumps(_described(row))}\n"
        for row in table
    )


def _described(row: Row) -> str:
    return f"the image {row.image.strip('`')} with {row.framework}, certified {row.levels}"


def inserted(text: str, made: str, marks: tuple[str, str] = (BEGIN, END), name: str = "README.md") -> str:
    """A text with what was made between two marks; `UsageError`, with the name of its file, where it has none."""
    before, begin, rest = text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise UsageError(f"{name} has no marks for the table", f"Put {' and '.join(marks)} around its place.")
    return f"{before}{begin}\n{made}{end}{after}"


def write(root: Path, table: list[Row]) -> None:
    """Put the table into README.md, and the digests into CITATION.cff."""
    for name, made, marks in (
        ("README.md", markdown(table), (BEGIN, END)),
        ("CITATION.cff", citation(table), CITED),
    ):
        path = root / name
        path.write_text(inserted(path.read_text(encoding="utf-8"), made, marks, name), encoding="utf-8")


def _row(image: str, several: list[Certificate], described: Image | None, platform: str) -> Row:
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
        until=(described.supported_until if described else None) or "-",
        cuda=labels.get("cuda", "none"),
        driver=stack.least_driver,
        served=_served(stack.served) or "CPU only",
        levels=", ".join(map(_level, several)),
        digest=newest,
        ended=_ended(described),
    )


def _ended(image: Image | None) -> str:
    """Since when upstream's support is over."""
    return f" (ended {image.support.until})" if image and image.support and ended(image.support) else ""


def _level(one: Certificate) -> str:
    return certificate.level_text(f"{one.verdict.level} ({one.device})", None, one.verdict.marks)


def _served(served: _Served) -> str:
    """The compute capabilities that all of the machine code serves, with a star those that only a part does; and
    from which one on there is no code at all.
    """
    marked = [*served.wholly, *(f"{one}*" for one in served.partly)]
    ordered = sorted(marked, key=lambda text: [int(number) for number in re.findall(r"\d+", text)])
    return "; ".join(one for one in (", ".join(ordered), served.unserved) if one)
