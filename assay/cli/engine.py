"""`engine`: the container engine, shown and steered."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from assay.cli.console import finish, note, say, size
from assay.cli.options import json_option
from assay.errors import EngineMissing

if TYPE_CHECKING:
    from assay.engine import Status


@click.group("engine")
def engine_group() -> None:
    """Show and steer the container engine."""


@engine_group.command("status")
@json_option
def engine_status(as_json: bool) -> None:
    """Say which engine would be used, and why."""
    from assay import engine

    finish(engine.status(), as_json, row=dataclasses.asdict, show=show_status)


def show_status(now: Status) -> None:
    """Print which engines this machine has, and which is used."""
    system = f"docker {now.system}" if now.system else "none answers"
    lacks = f"; will not do: {'; '.join(now.system_lacks)}" if now.system_lacks else ""
    say(f"system engine    {system}{lacks}")
    embedded = "running" if now.embedded_running else "stopped" if now.embedded_possible else "not possible here"
    say(f"embedded engine  {embedded}")
    say(f"used             {now.used or 'none'}")


@engine_group.command("env")
def engine_env() -> None:
    """Print what a shell needs so that its docker reaches the engine: eval "$(assay engine env)"

    Nothing is started. Where the system's engine is used, docker reaches it already, and nothing is printed.
    """
    from assay import engine

    now = engine.status()
    if now.used == "system":
        note("docker reaches the system's engine already: there is nothing to set")
        return
    if now.used is None:
        raise EngineMissing("no container engine answers", engine.install_hint())
    click.echo(engine.EmbeddedEngine.here().exports())
    if not now.embedded_running:
        note("the embedded engine does not run; start it: assay engine up")


@engine_group.command("up")
def engine_up() -> None:
    """Start the engine that is used, if it is the embedded one."""
    from assay import engine

    with engine.find() as found:
        say(f"{found.description}: up")


@engine_group.command("down")
def engine_down() -> None:
    """Stop the embedded engine; the next command that needs it starts it again."""
    from assay.engine import EmbeddedEngine

    say("stopped" if EmbeddedEngine.here().down() else "it was not running")


@engine_group.command("prune")
def engine_prune() -> None:
    """Drop the build cache; images stay."""
    from assay import engine

    with engine.find() as found:
        say(f"{size(found.prune_build_cache())} freed")
