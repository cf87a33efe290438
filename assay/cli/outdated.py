"""`outdated`: how far images are behind what Debian and the index have today."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from assay.cli.console import Styled, finish, note, say, say_table
from assay.cli.options import certificates_root, images_argument, json_option

if TYPE_CHECKING:
    from assay.outdated import State

COLUMNS = ("image", "on", "locked", "security", "other updates", "newer wheels", "yanked", "upstream")


@click.command("outdated")
@images_argument
@json_option
def outdated_command(images: tuple[str, ...], as_json: bool) -> None:
    """Say what moved since the images (all, unless named) were locked; exit 1 if a security update waits.

    Debian's updates with the CVEs that their changelogs name, newer wheels, those that were withdrawn, and the age.
    It needs root and apt, a mirror and an index that answer.
    """
    from assay import catalog, outdated

    cat = catalog.load(certificates_root())
    states = outdated.outdated(cat, images, note)
    finish(
        states,
        as_json,
        row=lambda states: [outdated.row(state) for state in states],
        show=show_outdated,
        require=outdated.require_safe,
    )


def show_outdated(states: Sequence[State]) -> None:
    """Print a row per image; then each base's updates and each image's wheels."""
    say_table(COLUMNS, map(_cells, states), right=COLUMNS[3:7])
    for base, updates in {state.base: state.updates for state in states}.items():
        for update in updates:
            why = ", ".join(update.cves) or update.note or ("no CVE is named" if update.security else "")
            style = "bold red" if update.security else ""
            kind = "security" if update.security else "update"
            say((f"{base}: {kind} {update.package} {update.was} -> {update.now}  {why}".rstrip(), style))
    for state in states:
        for old in state.yanked:
            say(
                (
                    f"{state.image}: {old.package} {old.version} was withdrawn: {old.reason or 'no reason given'}",
                    "red",
                )
            )
        for one in state.newer:
            say(f"{state.image}: {one.package} {one.was} -> {one.now}")


def _cells(state: State) -> tuple[Styled, ...]:
    others = len(state.updates) - len(state.security)
    return (
        (state.image, "bold"),
        state.base,
        f"{state.age_days} days ago" if state.age_days is not None else "unknown",
        (str(len(state.security)), "bold red" if state.security else "green"),
        str(others),
        str(len(state.newer)),
        (str(len(state.yanked)), "red" if state.yanked else ""),
        ("ended", "yellow") if state.ended else "",
    )
