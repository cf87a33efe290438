"""Commands that carry images to where no network leads: `export` and `import`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.console import finish, note, say, size
from assay.cli.options import json_option, name_option, plain_option
from assay.errors import VerificationFailed

if TYPE_CHECKING:
    from assay.carry import Carried, Layout
    from assay.registry import Reference, Source

key_option = click.option(
    "--key", envvar="ASSAY_KEY", type=click.Path(path_type=Path), help="The publisher's key: verify it first."
)


@click.command("export")
@click.argument("reference")
@click.argument("file", type=click.Path(path_type=Path))
@key_option
@name_option
@plain_option
@json_option
def export_command(
    reference: str, file: Path, key: Path | None, name: str | None, plain_http: bool, as_json: bool
) -> None:
    """Write a published image and all that is attached to it into one file, to carry it elsewhere.

    The file is an OCI image layout in a tar. `assay import` brings it into another registry.
    """
    from assay import carry
    from assay.cli.publishing import PublishView
    from assay.registry import Reference, Repository

    verify = _verifying(key, name)
    with (
        Repository(Reference.parse(reference), plain_http=plain_http) as repository,
        PublishView(doing="reading") as view,
    ):
        verify(repository)
        carried = carry.take(repository, file, name, view)
    finish(carried, as_json, row=carry.row, show=functools.partial(show_carried, what=f"{file}:"))
    if key is None:
        note(f"nothing was verified: `assay verify {reference} --key KEY`")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("registry", metavar="HOST/PATH")
@key_option
@click.option("--name", metavar="IMAGE", help="The image that it has to be: it goes to HOST/PATH/IMAGE.")
@plain_option
@json_option
def import_command(
    file: Path, registry: str, key: Path | None, name: str | None, plain_http: bool, as_json: bool
) -> None:
    """Push what `assay export` wrote into FILE: the image goes to HOST/PATH/IMAGE, with all that is attached to it.

    Nothing is pushed unless all of the file is as it was written and, with --key, verified.
    """
    from assay import carry
    from assay.cli.publishing import PublishView
    from assay.registry import Repository

    verify = _verifying(key, name)
    with contextlib.ExitStack() as held:
        with _about(file), PublishView(doing="reading") as view:
            layout = held.enter_context(carry.opened(file))
            there = carry.destination(registry, name or layout.content.name)
            layout.check(view)
            for reference in _called(layout, there):
                verify(layout.named(reference))
        with Repository(there, plain_http=plain_http) as repository, PublishView() as view:
            carried = carry.bring(layout, repository, view)
    finish(carried, as_json, row=carry.row, show=functools.partial(show_carried, what="sent:"))
    if key is None:
        note(f"nothing was verified: `assay verify {carried.reference} --key KEY`")


def show_carried(carried: Carried, what: str) -> None:
    """Print what was carried, and what it took."""
    say((carried.reference, "bold"))
    say(f"  tags      {', '.join(carried.tags) or 'none'}")
    say(f"  attached  {carried.attached}")
    for text in carried.left_out:
        say((f"  left out  {text}", "yellow"))
    say(f"  {what} {size(carried.size)} in {carried.seconds:.1f} s")


def _verifying(key: Path | None, name: str | None) -> Callable[[Source], None]:
    """What verifies an image with a key, as `assay verify` does; without a key nothing is asked."""
    if key is None:
        return lambda _source: None
    from assay import verify
    from assay.attestation import read_keys
    from assay.certificate import Suites
    from assay.host import paths

    public, suites = read_keys(key), Suites.read(paths.release())

    def check(source: Source) -> None:
        verify.require_passed(verify.verify_in(source, public, suites, verify.Demands(name=name)))

    return check


def _called(layout: Layout, there: Reference) -> list[Reference]:
    """What the image is to be called: a tag of another version than its own is found by its name."""
    tags = layout.content.tags
    digest = layout.content.image.digest
    return [dataclasses.replace(there, tag=tag) for tag in tags] or [there.at(digest)]


@contextlib.contextmanager
def _about(file: Path) -> Iterator[None]:
    """What is found wrong is wrong with this file."""
    try:
        yield
    except VerificationFailed as error:
        error.what = f"{file}: {error.what}"
        raise
