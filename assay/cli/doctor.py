"""`doctor`: what this machine has, and which images run on it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.console import Styled, finish, note, say, say_table
from assay.cli.options import certificates_root, json_option, name_option, plain_option
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.doctor import Diagnosis, Finding, Machine, Row

FINDING_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}
RUNS = {"gpu": ("on the GPU", "green"), "cpu": ("on the CPU", "yellow"), "no": ("no", "bold red")}


@click.command("doctor")
@click.argument("references", nargs=-1, metavar="[-] [REF]...")
@click.option("--key", envvar="ASSAY_KEY", type=click.Path(path_type=Path), help="The publisher's key, for REF.")
@name_option
@plain_option
@click.option("--driver", metavar="VERSION", help="Answer for a machine with this driver, such as 550 or 550.54.14.")
@click.option(
    "--compute-capability", "capabilities", metavar="X.Y", multiple=True, help="And with this GPU; may be repeated."
)
@json_option
def doctor_command(
    references: tuple[str, ...],
    key: Path | None,
    driver: str | None,
    capabilities: tuple[str, ...],
    as_json: bool,
    **demanded: Any,
) -> None:
    """Say what this machine has, and which images run on it and why.

    Those that run come first, and of these the newest.

    With - it answers for the machine whose nvidia-smi output comes on standard input: nvidia-smi | assay doctor -

    Of an image in a registry (REF) it reads the certificates attached there that --key has signed; without REF those
    of this checkout, or that this Assay came with.
    """
    smi = "-" in references
    references = tuple(reference for reference in references if reference != "-")
    if not smi and bool(driver) != bool(capabilities):
        raise UsageError(
            "--driver and --compute-capability describe another machine together",
            "Give both, or neither; or pipe what nvidia-smi prints there to `assay doctor -`.",
        )
    if references and key is None:
        raise UsageError("a certificate in a registry counts if it is signed", "Name the publisher's key with --key.")
    from assay import doctor
    from assay.attestation import read_keys
    from assay.certificate import Suites
    from assay.doctor.published import published
    from assay.host import paths
    from assay.registry import Reference

    machine, found = _described(driver, capabilities, smi=smi)
    if references and key:
        # What a registry has is judged by what this Assay came with, never by a folder that the command runs in.
        named = [Reference.parse(reference) for reference in references]
        suites = Suites.read(paths.release())
        platform = f"linux/{machine.architecture}" if machine else ""
        gathered = published(named, read_keys(key), suites, platform=platform, **demanded)
    else:
        root = certificates_root()
        gathered = doctor.gather(root, Suites.read(root))
    answer = doctor.diagnose(gathered, machine, found)
    finish(answer, as_json, row=doctor.as_json, show=show_diagnosis, require=doctor.require_usable)


def _described(
    driver: str | None, capabilities: Sequence[str], *, smi: bool
) -> tuple[Machine | None, Iterable[Finding]]:
    """The machine that is asked about, and what is said of it; None for this machine."""
    from assay import doctor
    from assay.doctor.described import LARGEST_TEXT

    if smi:
        if sys.stdin.isatty():
            note("Paste what nvidia-smi printed, then press Enter and Ctrl-D.")
        return doctor.pasted(doctor.decoded(sys.stdin.buffer.read(2 * LARGEST_TEXT + 4)), driver, capabilities)
    if driver is None:
        return None, ()
    machine = doctor.another(driver, capabilities)
    return machine, doctor.remarks(machine)


def show_diagnosis(answer: Diagnosis) -> None:
    """Print what the machine has, with remedies; each image with its verdict and why; how to run them."""
    if answer.findings:
        say_table(("this machine" if answer.here else "that machine", "", ""), _finding_rows(answer))
        say("")
    columns = ("image", "runs", "framework", "CUDA", "certified", "why")
    say_table(columns, (cells for row in answer.rows for cells in _image_rows(row)))
    commands = [(row.image.image, command) for row in answer.rows if (command := _command(row, here=answer.here))]
    if commands:
        say("")
    for name, command in commands:
        say((f"{name}: ", "bold"), command)


def _command(row: Row, *, here: bool) -> str | None:
    """What runs the image; where it would run here and is not built, what builds it."""
    from assay.doctor.facts import ELSEWHERE

    to_build = here and row.answer.runs != "no" and row.image.reference.startswith(f"{ELSEWHERE}/")
    return f"assay build {row.image.image} (it is not built here)" if to_build else row.command


def _finding_rows(answer: Diagnosis) -> Iterator[tuple[Styled, ...]]:
    for finding in answer.findings:
        yield finding.id, (finding.state, FINDING_COLOURS[finding.state]), finding.message
        if finding.remedy:
            yield "", "", (finding.remedy, "dim")


def _image_rows(row: Row) -> Iterator[tuple[Styled, ...]]:
    image, answer = row.image, row.answer
    levels = ", ".join(f"{level} ({device})" for device, level in sorted(image.levels.items()))
    cuda = ".".join(map(str, image.cuda)) if image.cuda else "none"
    yield (image.image, "bold"), RUNS[answer.runs], image.framework, cuda, levels, answer.why
    for each in filter(None, (*answer.notes, image.ended)):
        yield "", "", "", "", "", (each, "dim")
