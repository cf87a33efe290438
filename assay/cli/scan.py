"""`scan`: what is in an image, held against advisories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.console import finish, say, say_table
from assay.cli.options import json_option, plain_option
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.scan import Component, Scan


@click.command("scan")
@click.argument("subject", metavar="SBOM|REF")
@click.option(
    "--advisories",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of advisories in OSV's format, one a file.",
)
@click.option("--allow", type=click.Path(path_type=Path), help="TOML: what is let pass, why, and until when.")
@click.option("--key", envvar="ASSAY_KEY", type=click.Path(path_type=Path), help="The publisher's key, for REF.")
@plain_option
@json_option
def scan_command(
    subject: str, folder: Path, allow: Path | None, key: Path | None, plain_http: bool, as_json: bool
) -> None:
    """Hold the packages of an image against advisories; exit 1 if one holds that is not allowed.

    SBOM is a file in CycloneDX; of an image in a registry (REF) it is the signed one that is attached there.
    """
    from assay import scan

    if Path(subject).is_file():
        parts = scan.components(Path(subject))
    else:
        subject, parts = _attached(subject, key, plain_http)
    found = scan.scan(subject, parts, scan.advisories(folder), scan.allowed(allow) if allow else ())
    finish(found, as_json, row=scan.row, show=show_scan, require=scan.require_clean)


def _attached(subject: str, key: Path | None, plain_http: bool) -> tuple[str, list[Component]]:
    from assay import scan
    from assay.attestation import read_keys
    from assay.registry import Reference

    if key is None:
        raise UsageError(
            f"{subject} is no file, and an SBOM in a registry counts if it is signed",
            "Name the publisher's key with --key, or the file of an SBOM.",
        )
    return scan.of_registry(Reference.parse(subject), read_keys(key), plain_http=plain_http)


def show_scan(found: Scan) -> None:
    """Print what was found, what is allowed and why, and what nobody looked for."""
    say((found.subject, "bold"))
    say(f"  {found.components} packages against {found.advisories} advisories")
    rows = (
        (
            (finding.package, "bold"),
            finding.version,
            (finding.advisory, "" if finding.allowed else "bold red"),
            next((name for name in finding.aliases if name.startswith("CVE-")), ""),
            finding.fixed or "none",
            f"allowed: {finding.allowed}" if finding.allowed else finding.note or finding.summary,
        )
        for finding in found.findings
    )
    if found.findings:
        say_table(("package", "version", "advisory", "CVE", "mended in", ""), rows)
    for name in found.not_looked_for:
        say((f"  not looked for: no advisory there is about any package of {name}", "yellow"))
    for name in found.unused:
        say((f"  {name} is allowed, and was not found: take it off the list", "yellow"))
    if not found.open:
        say(("  nothing that is not allowed", "green"))
