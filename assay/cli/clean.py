"""`clean`: make room in the cache folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from assay.cli.console import finish, say, say_table, size
from assay.cli.options import checkout, json_option

if TYPE_CHECKING:
    from assay.clean import Item


@click.command("clean")
@click.option("--older-than", metavar="DAYS", type=click.IntRange(0), default=0, help="Only what was not used since.")
@click.option("--images", is_flag=True, help="Stop the embedded engine, and remove its images and its build cache.")
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@json_option
def clean_command(older_than: int, images: bool, dry_run: bool, as_json: bool) -> None:
    """Remove from the cache folder what is not needed, and say what stays.

    What the locks of this checkout name stays, and the programs of this Assay. While another command uses the cache,
    nothing is removed.
    """
    from assay import catalog, clean

    do = clean.items if dry_run else clean.clean
    found = do(catalog.load(checkout()), older_than, images=images)
    finish(
        found,
        as_json,
        row=lambda found: [_row(item) for item in found],
        show=lambda found: show_items(found, "would go" if dry_run else "removed"),
    )


def show_items(found: Sequence[Item], gone: str) -> None:
    """Print what went, what stays and why, and how much each is."""
    say_table(
        ("kind", "size", "", "what", "why"),
        ((item.kind, size(item.size), "stays" if item.stays else gone, item.path.name, item.stays) for item in found),
        right=("size",),
    )
    freed, left = (sum(item.size for item in found if bool(item.stays) is stays) for stays in (False, True))
    say(f"{gone}: {size(freed)}; left: {size(left)}")


def _row(item: Item) -> dict[str, object]:
    return {"kind": item.kind, "path": str(item.path), "bytes": item.size, "stays": item.stays or None}
