"""Derived images: what a certificate says of the base that its image stands on, and of what was added to that.

A derived image has the layers of a certified one, and more above them. It is asked all that its base is asked.
Packages may be added; in an image of the catalog, each is a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

from assay.certificate.levels import Level
from assay.certificate.report import Report, Word

if TYPE_CHECKING:
    from assay.certificate.case import Case

PACKAGES = "static.packages"  # the result that counts what was added
COUNT = "added"  # its metric, and the fact of the report's stack that names them
MOST_SHOWN = 8
_Short = Annotated[str, msgspec.Meta(max_length=256)]
_Added = Annotated[dict[_Short, _Short], msgspec.Meta(max_length=4096)]


class BaseImage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The certified image below: its digest, its certificate's level, and how many layers are its own."""

    name: Word
    digest: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
    level: Level
    layers: Annotated[int, msgspec.Meta(ge=1, le=1024)]


class Derived(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes an image a derived one: its base, and the packages that were added, with their versions."""

    base: BaseImage
    added: _Added


def name_of(image: str) -> str:
    """What a certificate calls an image that is derived from another: never what the other is called."""
    return f"{image}/derived"


def level_text(level: str, derived: Derived | None, marks: Iterable[str] = ()) -> str:
    """A level as it is shown, with its marks: that of a derived image is its base's kind, and says so."""
    text = ", ".join((level, *marks))
    if derived is None:
        return text
    return f"{text}, derived: +{len(derived.added)} package{'' if len(derived.added) == 1 else 's'}"


def shown(added: Mapping[str, str]) -> str:
    """Packages by name and version, the first of them."""
    names = [f"{name[:60]} {version[:120]}" for name, version in sorted(added.items())]
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return ", ".join(names[:MOST_SHOWN]) + more or "nothing"


def nothing_added(case: Case) -> Iterator[tuple[str, str]]:
    """Only a derived image has packages that were not locked."""
    if case.derived:
        return
    names, count = named(case.report), counted(case.report)
    if names is None:
        yield PACKAGES, "what was added is no list of packages"
    elif names:
        yield PACKAGES, f"installed, and not locked: {shown(names)}"
    elif count not in {"0", None}:
        yield PACKAGES, f"{count[:20]} packages were added to what is locked, it says, and it names none"


def named(report: Report) -> dict[str, str] | None:
    """What a report names as added; None for what is no mapping of names to versions."""
    try:
        return msgspec.convert(report.stack.get(COUNT, {}), type=_Added)
    except (msgspec.ValidationError, RecursionError):
        return None


def counted(report: Report) -> str | None:
    """What a report counts as added; None where its suite does not count."""
    metrics = (metric for result in report.results if result.id == PACKAGES for metric in result.metrics)
    return next((metric.value for metric in metrics if metric.name == COUNT), None)
