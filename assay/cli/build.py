"""Commands that make images: `build`, `reproduce`, `lock`; and those that tell of them: `images`, `plan`."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from assay.cli.console import Styled, finish, note, say, say_table, size
from assay.cli.options import (
    checkout,
    engine_watched,
    here_option,
    image_names,
    images_argument,
    images_here,
    json_option,
    pack_option,
    plain_option,
    platform_option,
)
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.build import Options
    from assay.catalog import Built, Catalog, Image
    from assay.cli.progress import BuildView
    from assay.reproduce import Against, Reproduced

COLUMNS = ("image", "on", "version", "compressed", "on disk", "digest", "Debian until", "what")


@click.command("build")
@images_argument
@click.option("--no-cache", is_flag=True, help="Build every step anew, the base too.")
@click.option("--locked", is_flag=True, help="Fail rather than build of other Debian packages than are locked.")
@click.option("--refresh", is_flag=True, help="Ask the archives anew for what has drifted.")
@pack_option
@here_option
@click.option("--on", "builders", metavar="CONTEXT", multiple=True, help="Build on this engine; say it for each.")
@click.option("--through", metavar="HOST/PATH", help="The registry in which what is built meets, by digest.")
@click.option("--cache-from", metavar="HOST/PATH", default="", help="Take build steps from a registry, too.")
@click.option("--cache-to", metavar="HOST/PATH", default="", help="Leave build steps in a registry.")
@plain_option
def build_command(
    images: tuple[str, ...],
    platform: str | None,
    builders: tuple[str, ...],
    through: str | None,
    plain_http: bool,
    **how: Any,
) -> None:
    """Build images (all, unless named) and what they stand on.

    For another processor than this machine's they are named assay-ARCH/IMAGE, and their programs are emulated.
    """
    from assay import build
    from assay.catalog import drifts
    from assay.cli.progress import BuildView

    cat = images_here(platform)
    cat.order(images)
    build.require_runs(cat.platform)
    meeting = build.Through(through, plain_http) if through else None
    options = build.Options(suffix=build.suffix_of(cat.platform), through=meeting, **how)
    with BuildView() as view:
        if builders:
            built = _on_builders(cat, builders, images, view, options)
        else:
            with build.Ahead(cat, images, view, options) as ahead, engine_watched(view, ahead.begin) as engine:
                built = build.build(cat, engine, images, view, options, ahead).images
    asked = {image.name: built[image.name] for image in cat.order(images) if image.name in built}
    if builders:
        show_builders(asked)
    for name, drift in drifts(asked).items():
        note(f"{name} has drifted: {drift}")


def _on_builders(
    cat: Catalog, names: tuple[str, ...], images: tuple[str, ...], view: BuildView, options: Options
) -> dict[str, Built]:
    from assay import build, engine

    if len(set(names)) < len(names):
        raise UsageError("--on names an engine twice", "Name each once.")
    with contextlib.ExitStack() as held:
        builders = []
        for name in names:
            view.phase(name, "asking")
            found = held.enter_context(engine.at(name, functools.partial(view.phase, name)))
            view.phase(name, "")
            builders.append(build.Builder(name, found))
        return build.build_on(cat, builders, images, view, options).images


def show_builders(built: Mapping[str, Built]) -> None:
    """Print which builder made each image."""
    rows = ((name, one.builder or "this machine", one.digest[7:19]) for name, one in built.items())
    say_table(("image", "built on", "digest"), rows)


@click.command("reproduce")
@images_argument
@click.option("--smallest", is_flag=True, help="Of the built framework images, the one with the least bytes.")
@click.option("--certified", is_flag=True, help="Compare with what was certified instead, layer by layer.")
@json_option
def reproduce_command(images: tuple[str, ...], smallest: bool, certified: bool, as_json: bool) -> None:
    """Build images once more, with no cache and from a new base, and compare what came out.

    With --certified they are built once, where they are not, and held against their certificates in certificates/.
    """
    from assay import catalog, reproduce
    from assay.catalog.built import smallest as smallest_built
    from assay.cli.progress import BuildView

    cat = catalog.load(checkout())
    cat.order(images)
    if smallest:
        images = (smallest_built(cat),)
    if certified:
        _against_certified(cat, images, as_json)
        return
    with BuildView() as view, engine_watched(view) as engine:
        rows = reproduce.reproduce(cat, engine, images, view)
    finish(
        rows,
        as_json,
        row=lambda rows: [reproduce.row(each) for each in rows],
        show=show_reproduced,
        require=reproduce.require_same,
    )


def show_reproduced(rows: Sequence[Reproduced]) -> None:
    """Print per image whether a second build gave the same, and both digests."""
    say_table(
        ("image", "verdict", "digest", "again"),
        (
            (
                each.name,
                (each.sameness.value, "green" if each.sameness.holds else "bold red"),
                each.first.digest[:19],
                each.again.digest[:19],
            )
            for each in rows
        ),
    )
    for each in rows:
        if each.first.cache:
            say(f"{each.name}: the first was built with the cache {each.first.cache}, the second without any")


def _against_certified(cat: Catalog, images: tuple[str, ...], as_json: bool) -> None:
    from assay import reproduce
    from assay.cli.progress import BuildView

    with BuildView() as view, engine_watched(view) as engine:
        found = reproduce.certified(cat, engine, images, view)
    finish(
        found,
        as_json,
        row=lambda found: [reproduce.against_row(each) for each in found],
        show=show_against,
        require=reproduce.require_certified,
    )


def show_against(found: Sequence[Against]) -> None:
    """Print per image which layers are not as they were certified, and why that may be."""
    for each in found:
        said = f"{each.count} layers above the base, {len(each.layers)} differ from what was certified on {each.date}"
        say((f"{each.image}: {said}", "bold red" if each.problems else "green"))
        if each.base:
            say(f"  its base: {each.base}")
        for layer in each.layers:
            say(f"  layer {layer.number} ({layer.step}): {'; '.join(layer.because) or 'ran nothing that moved'}")


@click.command("lock")
@images_argument
@click.option("--upgrade", is_flag=True, help="Take the newest versions that the inputs allow.")
@click.option("--check", is_flag=True, help="Prove that locks and inputs agree; change nothing.")
@platform_option
def lock_command(images: tuple[str, ...], upgrade: bool, check: bool, platform: str | None) -> None:
    """Resolve requirements into hashed locks (all images on all platforms that they declare, unless named)."""
    from assay import lock

    root = checkout()
    if check:
        results = lock.check(root, images, platform=platform)
    else:
        results = lock.lock(root, images, upgrade=upgrade, platform=platform, on_step=note)
    for result in results:
        unchanged = "agrees" if check else "unchanged"
        changes = ", ".join(result.changes) or "written"
        say(f"{result.image}{result.platform.suffix}: {changes if result.written else unchanged}")


@click.command("images")
@json_option
def images_command(as_json: bool) -> None:
    """List the images, and what is built of them."""
    from assay import catalog
    from assay.catalog import read_images

    root = checkout()
    cat, built = catalog.load(root), read_images(root).images
    finish(
        cat,
        as_json,
        row=lambda cat: [_image_row(image, built.get(image.name)) for image in cat.images.values()],
        show=lambda cat: show_images(cat, built),
    )


def show_images(cat: Catalog, built: dict[str, Built]) -> None:
    """Print a row per image, what drifted, and what sharing layers saves in a registry."""
    from assay.catalog import drifts
    from assay.catalog.built import registry_bytes

    rows = (_image_cells(image, built.get(image.name)) for image in cat.images.values())
    say_table(COLUMNS, rows, right=("compressed", "on disk"))
    for name, drift in drifts(built).items():
        say(f"{name} has drifted: {drift}")
    frameworks = [built[image.name] for image in cat.frameworks() if image.name in built]
    if len(frameworks) > 1:
        together, alone = registry_bytes(frameworks)
        say(
            f"The {len(frameworks)} framework images take {size(together)} in a registry, "
            f"where shared layers are kept once; each alone, {size(alone)}."
        )


def _image_cells(image: Image, built: Built | None) -> tuple[Styled, ...]:
    from assay import catalog

    return (
        image.name,
        image.parent or "-",
        catalog.framework_version(image) or "-",
        size(built.compressed_bytes) if built else "-",
        size(built.uncompressed_bytes) if built else "-",
        built.digest[7:19] + (" drifted" if built.drift else "") if built else "not built",
        _until(image.supported_until),
        image.summary,
    )


def _until(month: str | None) -> Styled:
    """The last month of Debian's support, and whether it has passed."""
    if month is None:
        return "-"
    return (f"{month} (over)", "yellow") if month < time.strftime("%Y-%m", time.gmtime()) else month


def _image_row(image: Image, built: Built | None) -> dict[str, object]:
    import msgspec

    from assay import catalog

    return {
        "name": image.name,
        "parent": image.parent,
        "summary": image.summary,
        "framework": image.framework.name if image.framework else None,
        "version": catalog.framework_version(image),
        "labels": dict(image.labels),
        "digest": built.digest if built else None,
        "compressed_bytes": built.compressed_bytes if built else None,
        "uncompressed_bytes": built.uncompressed_bytes if built else None,
        "supported_until": image.supported_until,
        "support": msgspec.to_builtins(image.support),
        "drift": msgspec.to_builtins(built.drift) if built else None,
    }


@click.command("plan")
@click.argument("image", shell_complete=image_names)
@click.option("--device", type=click.Choice(["cpu", "gpu"]), default="cpu", show_default=True)
def plan_command(image: str, device: str) -> None:
    """Print the plan of an image's smoke run, as JSON."""
    from assay import catalog

    click.echo(json.dumps(catalog.plan(catalog.load(checkout()).get(image), device), indent=1))
