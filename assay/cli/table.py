"""`table`: what is certified."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from assay.cli.console import say_table
from assay.cli.options import certificates_root, checkout

if TYPE_CHECKING:
    from assay.catalog import Catalog
    from assay.certify import Standing


@click.command("table")
@click.option(
    "--write",
    is_flag=True,
    help="Keep the certificates of build/ in certificates/; put the table into README.md and CITATION.cff.",
)
@click.option(
    "--check", is_flag=True, help="Hold the certificates that are kept against this checkout; nothing is built."
)
@click.option("--fewer", is_flag=True, help="With --write: keep also what shows less of everyday work than before.")
def table_command(write: bool, check: bool, fewer: bool) -> None:
    """Print the support table of the certificates of this checkout, or that this Assay came with.

    With --check: which images can rest on their certificate, and which tests of the image it stands for.
    """
    from assay import catalog, certify
    from assay.certificate import Suites
    from assay.certify import records, table

    cat = catalog.load(checkout() if write or check else certificates_root())
    if write:
        table.keep(cat.root)
        records.keep(cat, _current(cat), fewer)
    if check:
        found = certify.standings(cat)
        show_standings(found)
        certify.require_standing(found)
        return
    rows = table.rows(cat.root / "certificates", Suites.read(cat.root), cat.images)
    if write:
        table.write(cat.root, rows)
    say_table(table.COLUMNS, (row.cells() for row in rows))


def _current(cat: Catalog) -> set[str]:
    """The images that are built as this checkout says."""
    from assay import build
    from assay.catalog import read_images

    built = read_images(cat.root).images
    parents = {image.name: built.get(image.parent or "") for image in cat.frameworks()}
    return {
        image.name
        for image in cat.frameworks()
        if (made := built.get(image.name)) and (below := parents[image.name])
        if made.key == build.input_key(cat, image, below.digest)
    }


def show_standings(found: Iterable[Standing]) -> None:
    """Print per image whether its certificate holds, of which day it is, and what tests/images found of the image."""
    say_table(
        ("image", "certificate", "of", "tests/images", "why not"),
        (
            (
                one.image.name,
                ("holds", "green") if one.holds else ("no", "bold red"),
                one.date or "-",
                str(one.tested) if one.tested else ("not on record", "yellow"),
                one.problem,
            )
            for one in found
        ),
    )
