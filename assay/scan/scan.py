"""Each package of an image against each advisory that is about it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assay.errors import CertificateFailed, UsageError
from assay.scan.advisories import Advisory, Affected
from assay.scan.allowed import Allowed
from assay.scan.components import Component


class AdvisoryHolds(CertificateFailed):
    """An advisory is about a version that an image holds, and nobody allowed it."""

    exit_code = 1


@dataclass(frozen=True)
class Finding:
    """A package of the image that an advisory is about. ``allowed`` is the reason why it is let pass, else empty.

    ``note`` says that it was let pass until a day that is over.
    """

    package: str
    version: str
    advisory: str
    aliases: tuple[str, ...]
    summary: str
    fixed: str
    allowed: str = ""
    note: str = ""


@dataclass(frozen=True)
class Scan:
    """What was looked at, and what was found.

    ``not_looked_for``: what of the image no advisory at all is about, by ecosystem: of it nothing is known.
    ``unused``: what is allowed, and was not found.
    """

    subject: str
    components: int
    advisories: int
    findings: tuple[Finding, ...]
    not_looked_for: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def open(self) -> tuple[Finding, ...]:
        """What was found and is not allowed."""
        return tuple(finding for finding in self.findings if not finding.allowed)


def scan(
    subject: str,
    parts: Sequence[Component],
    known: Sequence[Advisory],
    allow: Sequence[Allowed] = (),
    today: datetime.date | None = None,
) -> Scan:
    """Hold the components of an image against advisories.

    Raises `UsageError`, with its name, for a component whose version is none.
    """
    today = today or datetime.datetime.now(datetime.UTC).date()
    about: dict[tuple[str, str], list[tuple[Advisory, Affected]]] = {}
    for advisory in known:
        for affected in advisory.affected:
            about.setdefault((affected.ecosystem, affected.name), []).append((advisory, affected))
    findings = {
        (part.name, advisory.id): _finding(part, advisory, affected, allow, today)
        for part in parts
        for advisory, affected in about.get((part.ecosystem, part.source), ())
        if affected.release in {"", part.release} and _holds(affected, part)
    }
    ecosystems = {ecosystem for ecosystem, _ in about}
    named = {name for finding in findings.values() for name in (finding.advisory, *finding.aliases)}
    return Scan(
        subject,
        len(parts),
        len(known),
        tuple(findings[key] for key in sorted(findings)),
        tuple(sorted({part.ecosystem for part in parts} - ecosystems)),
        tuple(one.id for one in allow if one.id not in named),
    )


def require_clean(found: Scan) -> None:
    """Raise `AdvisoryHolds` (exit 1) unless all that was found is allowed."""
    if found.open:
        first = found.open[0]
        more = f", and {len(found.open) - 1} more" if len(found.open) > 1 else ""
        mended = f"{first.fixed} has it mended" if first.fixed else "no version is said to have it mended"
        raise AdvisoryHolds(
            f"{first.advisory} is about {first.package} {first.version}{more}",
            f"{mended}: lock, build and certify anew, or allow it with a reason and a day (--allow FILE).",
        )


def row(found: Scan) -> dict[str, object]:
    """A scan for programs."""
    return dataclasses.asdict(found)


def _holds(affected: Affected, part: Component) -> bool:
    try:
        return affected.holds(part.source_version)
    except ValueError as error:
        raise UsageError(
            f"{part.name} {part.source_version} has no version that can be compared: {error}", "See to its SBOM."
        ) from None


def _finding(
    part: Component, advisory: Advisory, affected: Affected, allow: Iterable[Allowed], today: datetime.date
) -> Finding:
    fitting = [one for one in allow if one.id in advisory.names and one.package in {None, part.name, part.source}]
    good = next((one for one in fitting if today <= one.until), None)
    over = f"allowed until {fitting[0].until}, which is over" if fitting and good is None else ""
    return Finding(
        part.name,
        part.version,
        advisory.id,
        advisory.aliases,
        advisory.summary,
        affected.fixed_for(part.source_version),
        f"{good.why} (until {good.until})" if good else "",
        over,
    )
