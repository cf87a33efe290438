"""The ``assay`` command."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click
import msgspec

from assay import (
    __version__,
    attestation,
    build,
    catalog,
    doctor,
    engine,
    lock,
    paths,
    planning,
    publish,
    reproduce,
    smoke,
    table,
    verify,
    view,
)
from assay.attestation import PrivateKey, PublicKey
from assay.certificate import LEVELS, Suites
from assay.engine.embedded import EmbeddedEngine
from assay.errors import AssayError, UsageError, of_the_system, together
from assay.images import Built, drifts, read_images, registry_bytes
from assay.images import smallest as smallest_built
from assay.registry import Reference

Command = Callable[..., Any]


def repository() -> Path:
    """The checkout that the command runs in: the closest folder upwards that holds images/ and smoke/."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "images").is_dir() and (folder / "smoke").is_dir():
            return folder
    raise UsageError(f"{here} is in no checkout of Assay", "Run this in a clone of the repository.")


pack_option = click.option(
    "--pack", is_flag=True, help="Keep images compressed until they are run: half the room (embedded engine only)."
)
images_argument = click.argument("images", nargs=-1, metavar="[IMAGE]...")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="assay %(version)s")
def cli() -> None:
    """Build GPU environment images, one per deep-learning framework, and certify each by training in it."""


def _engine(watching: view.BuildView, meanwhile: Callable[[], None] = lambda: None) -> engine.Engine:
    """The engine, whose start is shown; where it has to be started, ``meanwhile`` is called."""

    def tell(text: str) -> None:
        watching.phase("engine", text)
        meanwhile()

    found = engine.find(tell)
    watching.phase("engine", "")
    return found


@cli.command("build")
@images_argument
@click.option("--no-cache", is_flag=True, help="Build every step anew, the base too.")
@click.option("--locked", is_flag=True, help="Fail rather than build of other Debian packages than are locked.")
@click.option("--refresh", is_flag=True, help="Ask the archives anew for what has drifted.")
@pack_option
def build_command(images: tuple[str, ...], no_cache: bool, locked: bool, refresh: bool, pack: bool) -> None:
    """Build images (all, unless named) and what they stand on."""
    known = catalog.load(repository())
    known.order(images)
    options = build.Options(no_cache=no_cache, pack=pack, locked=locked, refresh=refresh)
    with (
        view.BuildView() as watching,
        build.Ahead(known, images, watching, options) as ahead,
        _engine(watching, ahead.begin) as found,
    ):
        made = build.build(known, found, images, watching, options, ahead).images
    asked = {image.name: made[image.name] for image in known.order(images) if image.name in made}
    for name, drift in drifts(asked).items():
        view.err.print(f"{name} has drifted: {drift}", markup=False)


@cli.command("reproduce")
@images_argument
@click.option("--smallest", is_flag=True, help="Of the built framework images, the one with the least bytes.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def reproduce_command(images: tuple[str, ...], smallest: bool, as_json: bool) -> None:
    """Build images once more, with no cache and from a new base, and compare what came out."""
    known = catalog.load(repository())
    known.order(images)
    if smallest:
        images = (smallest_built(known),)
    with view.BuildView() as watching, _engine(watching) as found:
        rows = reproduce.reproduce(known, found, images, watching)
    if as_json:
        click.echo(json.dumps([reproduce.row(one) for one in rows], indent=1))
    else:
        view.show_reproduced(rows)
    reproduce.require_same(rows)


@cli.command("smoke")
@images_argument
@click.option(
    "--device", type=click.Choice(["cpu", "gpu"]), default="cpu", show_default=True, help="What to train on."
)
@click.option("--again", is_flag=True, help="Certify again what already has a certificate.")
@click.option("--memory", metavar="SIZE", help="Bound each container's memory, for instance 8g.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@pack_option
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML for a CI system.")
def smoke_command(
    images: tuple[str, ...],
    device: str,
    again: bool,
    memory: str | None,
    as_json: bool,
    pack: bool,
    junit: Path | None,
) -> None:
    """Train in the built images (all, unless named) and write their certificates."""
    known = catalog.load(repository())
    for name in images:
        known.get(name)
    if junit and not junit.absolute().parent.is_dir():
        raise UsageError(f"{junit.parent} is no folder, so {junit.name} cannot be written there", "Make it first.")
    bound = parse_size(memory) if memory else None
    options = smoke.Options(device=device, again=again, memory_bytes=bound, pack=pack)
    watching = view.SmokeView(quiet=as_json)
    with engine.find() as found, watching:
        outcomes = smoke.smoke(known, found, images, options, watching.start, watching.done)
    if as_json:
        click.echo(json.dumps([smoke.row(outcome) for outcome in outcomes], indent=1))
    if junit:
        junit.write_bytes(smoke.junit(outcomes))
    smoke.require_passed(outcomes)


def parse_size(text: str) -> int:
    """Bytes from docker's notation, such as 512m or 8g; `UsageError` for anything else."""
    units = {"k": 2**10, "m": 2**20, "g": 2**30}
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].lower() in units else (text, "")
    if not number.isdecimal() or int(number) == 0:
        raise UsageError(f"{text!r} is no size", "Write a number with k, m or g behind it, such as 8g.")
    return int(number) * units.get(unit, 1)


def _say(line: str) -> None:
    view.err.print(line, markup=False)


@cli.command("lock")
@images_argument
@click.option("--upgrade", is_flag=True, help="Take the newest versions that the inputs allow.")
@click.option("--check", is_flag=True, help="Prove that locks and inputs agree; change nothing.")
def lock_command(images: tuple[str, ...], upgrade: bool, check: bool) -> None:
    """Resolve requirements into hashed locks (all images, unless named)."""
    known = catalog.load(repository(), locked=False)
    chosen = lock.choose(known, images)
    results = lock.check(known, chosen) if check else lock.lock(known, chosen, upgrade=upgrade, on_step=_say)
    for result in results:
        unchanged = "agrees" if check else "unchanged"
        changes = ", ".join(result.changes) or "written"
        view.out.print(f"{result.image}: {changes if result.written else unchanged}", markup=False)


@cli.command("images")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def images_command(as_json: bool) -> None:
    """List the images, and what is built of them."""
    root = repository()
    known, built = catalog.load(root), read_images(root).images
    if as_json:
        click.echo(
            json.dumps([_image_row(image, built.get(image.name)) for image in known.images.values()], indent=1)
        )
        return
    rows = []
    for image in known.images.values():
        made = built.get(image.name)
        rows.append(
            (
                image.name,
                image.parent or "-",
                planning.framework_version(image) or "-",
                view.size(made.compressed_bytes) if made else "-",
                view.size(made.uncompressed_bytes) if made else "-",
                made.digest[7:19] + (" drifted" if made.drift else "") if made else "not built",
                image.supported_until or "-",
                image.summary,
            )
        )
    columns = ("image", "on", "version", "compressed", "on disk", "digest", "Debian until", "what")
    view.out.print(view.table(columns, rows, right=("compressed", "on disk")))
    for name, drift in drifts(built).items():
        view.out.print(f"{name} has drifted: {drift}", markup=False)
    frameworks = [built[image.name] for image in known.frameworks() if image.name in built]
    if len(frameworks) > 1:
        together, alone = registry_bytes(frameworks)
        view.out.print(
            f"The {len(frameworks)} framework images take {view.size(together)} in a registry, "
            f"where shared layers are kept once; each alone, {view.size(alone)}.",
            markup=False,
        )


def _image_row(image: catalog.Image, built: Built | None) -> dict[str, object]:
    return {
        "name": image.name,
        "parent": image.parent,
        "summary": image.summary,
        "framework": image.framework.name if image.framework else None,
        "version": planning.framework_version(image),
        "labels": dict(image.labels),
        "digest": built.digest if built else None,
        "compressed_bytes": built.compressed_bytes if built else None,
        "uncompressed_bytes": built.uncompressed_bytes if built else None,
        "supported_until": image.supported_until,
        "drift": msgspec.to_builtins(built.drift) if built else None,
    }


@cli.command()
@click.argument("image")
@click.option("--device", type=click.Choice(["cpu", "gpu"]), default="cpu", show_default=True)
def plan(image: str, device: str) -> None:
    """Print the plan of an image's smoke run, as JSON."""
    click.echo(json.dumps(planning.plan(catalog.load(repository()).get(image), device), indent=1))


@cli.command()
@click.option(
    "--out", default="assay", show_default=True, type=click.Path(path_type=Path), help="OUT.key and OUT.pub."
)
def keygen(out: Path) -> None:
    """Make a key pair to sign with: an encrypted private key, and the public key that you give out."""
    secret, public = attestation.generate(out, _password(confirm=True))
    view.out.print(f"{secret}: keep it, and its password, to yourself\n{public}: give it out", markup=False)


def _password(*, confirm: bool) -> str:
    """From the environment, else asked for; never from the command line, which others can see."""
    told = os.environ.pop(attestation.PASSWORD_VARIABLE, None)  # no process that is started later inherits it
    if told is not None:
        return told
    if not sys.stdin.isatty():
        raise UsageError(
            "the key's password is wanted, and this is no terminal",
            f"Set {attestation.PASSWORD_VARIABLE}, or use one.",
        )
    return str(click.prompt("Password of the key", hide_input=True, confirmation_prompt=confirm, err=True))


key_option = click.option(
    "--key", required=True, envvar="ASSAY_KEY", type=click.Path(path_type=Path), help="The key file (ASSAY_KEY)."
)
plain_option = click.option("--plain-http", is_flag=True, help="Speak HTTP without TLS, beyond loopback too.")


@cli.command("publish")
@images_argument
@click.option("--registry", required=True, metavar="HOST/PATH", help="Where to: IMAGE goes to HOST/PATH/IMAGE.")
@key_option
@plain_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def publish_command(images: tuple[str, ...], registry: str, key: Path, plain_http: bool, as_json: bool) -> None:
    """Push certified images (all, unless named) with their signed certificates, SBOM and provenance."""
    known = catalog.load(repository())
    good, refused = publish.candidates(known, Suites.read(known.root), images)
    for one in refused:
        view.err.print(f"{one.image}: refused: {one.why}", markup=False)
    done: list[publish.Published] = []
    failed: dict[str, AssayError] = {}
    if good:
        private = PrivateKey.read(key, _password(confirm=False))
        with engine.find() as found:
            destination = publish.Destination(registry, plain_http)
            done, failed = publish.publish(known, found, private, good, destination, view.show_step)
    if as_json:
        click.echo(json.dumps([publish.row(one) for one in done], indent=1))
    else:
        view.show_published(done)
    if failed:
        raise together(failed)
    publish.require_none_refused(refused)


@cli.command("verify")
@click.argument("reference")
@key_option
@click.option("--require", type=click.Choice(list(LEVELS)), default="E2", show_default=True, help="The least level.")
@click.option("--max-age", type=click.IntRange(0), default=365, show_default=True, help="Days; 0: however old.")
@click.option("--layers", is_flag=True, help="Read every layer too: content against digest and DiffID.")
@plain_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def verify_command(
    reference: str, key: Path, require: str, max_age: int, layers: bool, plain_http: bool, as_json: bool
) -> None:
    """Verify a published image from the registry alone; needs no engine and no checkout."""
    demands = verify.Demands(require, max_age or None, layers, plain_http)
    found = verify.verify(Reference.parse(reference), PublicKey.read(key), Suites.read(paths.release()), demands)
    if as_json:
        click.echo(json.dumps(verify.row(found), indent=1))
    else:
        view.show_verdict(found)
    verify.require_passed(found)


@cli.command("rebuild")
@click.argument("reference")
@key_option
@plain_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def rebuild_command(reference: str, key: Path, plain_http: bool, as_json: bool) -> None:
    """Build a published image again from its provenance, and compare; in a clone that has its commit."""
    named, public, root = Reference.parse(reference), PublicKey.read(key), repository()
    with view.BuildView() as watching, _engine(watching) as found:
        result = reproduce.rebuild(root, named, public, found, watching, plain_http=plain_http)
    if as_json:
        click.echo(json.dumps(reproduce.as_json(result), indent=1))
    else:
        view.show_rebuilt(result)
    reproduce.require_rebuilt(result)


@cli.command("table")
@click.option(
    "--write",
    is_flag=True,
    help="Keep the certificates of build/ in certificates/, and put the table into README.md.",
)
def table_command(write: bool) -> None:
    """Print the support table of the certificates that are kept in certificates/."""
    root = repository()
    if write:
        table.keep(root)
    until = {image.name: image.supported_until for image in catalog.load(root).images.values()}
    made = table.rows(root / "certificates", Suites.read(root), until)
    if write:
        readme = root / "README.md"
        readme.write_text(table.inserted(readme.read_text(encoding="utf-8"), table.markdown(made)), encoding="utf-8")
    view.out.print(view.table(table.COLUMNS, (row.cells() for row in made)))


@cli.command("doctor")
@click.argument("references", nargs=-1, metavar="[REF]...")
@click.option("--key", envvar="ASSAY_KEY", type=click.Path(path_type=Path), help="The publisher's key, for REF.")
@plain_option
@click.option("--driver", metavar="VERSION", help="Answer for a machine with this driver, such as 550 or 550.54.14.")
@click.option(
    "--compute-capability", "capabilities", metavar="X.Y", multiple=True, help="And with this GPU; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor_command(
    references: tuple[str, ...],
    key: Path | None,
    plain_http: bool,
    driver: str | None,
    capabilities: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what this machine has, and which images run on it and why, the newest that runs first.

    Of an image in a registry (REF) it reads the certificates attached there that --key has signed; without REF those
    of this checkout, or that this Assay came with.
    """
    if bool(driver) != bool(capabilities):
        raise UsageError(
            "--driver and --compute-capability describe another machine together", "Give both, or neither."
        )
    if references and key is None:
        raise UsageError("a certificate in a registry counts if it is signed", "Name the publisher's key with --key.")
    machine = doctor.another(driver, capabilities) if driver else None
    if references and key:
        # What a registry has is judged by what this Assay came with, never by a folder that the command runs in.
        named = [Reference.parse(one) for one in references]
        suites = Suites.read(paths.release())
        gathered = doctor.published(named, PublicKey.read(key), suites, plain_http=plain_http)
    else:
        root = _certificates_at()
        gathered = doctor.gather(root, Suites.read(root))
    answer = doctor.diagnose(gathered, machine)
    if as_json:
        click.echo(json.dumps(doctor.as_json(answer), indent=1))
    else:
        view.show_diagnosis(answer)
    doctor.require_usable(answer)


def _certificates_at() -> Path:
    """The checkout that the command runs in, else what this Assay came with."""
    try:
        return repository()
    except UsageError:
        return paths.release()


@cli.group("engine")
def engine_group() -> None:
    """Show and steer the container engine."""


@engine_group.command("status")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def engine_status(as_json: bool) -> None:
    """Say which engine would be used, and why."""
    now = engine.status()
    if as_json:
        click.echo(json.dumps({field: getattr(now, field) for field in now.__dataclass_fields__}, indent=1))
        return
    system = f"docker {now.system}" if now.system else "none answers"
    lacks = f"; will not do: {'; '.join(now.system_lacks)}" if now.system_lacks else ""
    view.out.print(f"system engine    {system}{lacks}", markup=False)
    embedded = "running" if now.embedded_running else "stopped" if now.embedded_possible else "not possible here"
    view.out.print(f"embedded engine  {embedded}")
    view.out.print(f"used             {now.used or 'none'}")


@engine_group.command("up")
def engine_up() -> None:
    """Start the engine that is used, if it is the embedded one."""
    with engine.find() as found:
        view.out.print(f"{found.description}: up")


@engine_group.command("down")
def engine_down() -> None:
    """Stop the embedded engine; the next command that needs it starts it again."""
    view.out.print("stopped" if EmbeddedEngine.here().down() else "it was not running")


@engine_group.command("prune")
def engine_prune() -> None:
    """Drop the build cache; images stay."""
    with engine.find() as found:
        view.out.print(f"{view.size(found.prune_build_cache())} freed")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command; every error is two lines and its own exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        cli.main(standalone_mode=False)
    except AssayError as error:
        view.show_error(error)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        view.err.print(error.format_message(), markup=False)
        sys.exit(UsageError.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "assay"
        view.show_error(UsageError(error.format_message(), f"`{path} --help` tells what there is."))
        sys.exit(UsageError.exit_code)
    except OSError as error:
        told = of_the_system(error)
        view.show_error(told)
        sys.exit(told.exit_code)
    except (KeyboardInterrupt, click.Abort):
        view.err.print("\ninterrupted: what is finished is kept, and the next run goes on from there")
        sys.exit(130)
