"""Commands about published images: `keygen`, `publish`, `verify` and `rebuild`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.console import finish, note, say, say_table, size
from assay.cli.identity import keyless_options, require_signer, signer_options, signers_of, whose
from assay.cli.options import (
    checkout,
    engine_watched,
    images_argument,
    images_here,
    json_option,
    key_option,
    name_option,
    password,
    plain_option,
)

if TYPE_CHECKING:
    from assay.errors import AssayError
    from assay.publish import Published
    from assay.reproduce import Rebuilt
    from assay.verify import Verification


# Those of `assay.certificate.LEVELS`, which is not imported for them.
LEVELS = ("E0", "E1", "E2", "E3", "E4")


@click.command("keygen")
@click.option(
    "--out", default="assay", show_default=True, type=click.Path(path_type=Path), help="OUT.key and OUT.pub."
)
def keygen_command(out: Path) -> None:
    """Make a key pair to sign with: an encrypted private key, and the public key that you give out."""
    from assay import attestation

    secret, public = attestation.generate(out, password(confirm=True))
    say(f"{secret}: keep it, and its password, to yourself")
    say(f"{public}: give it out")


@click.command("publish")
@images_argument
@click.option("--registry", required=True, metavar="HOST/PATH", help="Where to: IMAGE goes to HOST/PATH/IMAGE.")
@click.option("--dated", is_flag=True, help="By a tag with the day of its certificate too, which never moves.")
@keyless_options
@plain_option
@json_option
def publish_command(images: tuple[str, ...], registry: str, dated: bool, plain_http: bool, **how: Any) -> None:
    """Push certified images (all, unless named) with their signed certificates, SBOM and provenance.

    The tags of an image that declares several platforms point to an index; each is published from a machine of it.
    """
    from assay import engine, publish
    from assay.certificate import Suites
    from assay.cli.publishing import PublishView
    from assay.errors import together

    as_json = how.pop("as_json")
    require_signer(**how)
    cat = images_here(None)
    good, refused = publish.candidates(cat, Suites.read(cat.root), images)
    for each in refused:
        note(f"{each.image}: refused: {each.why}")
    done: list[Published] = []
    failed: dict[str, AssayError] = {}
    if good:
        signers = signers_of(**how)
        destination = publish.Destination(registry, plain_http=plain_http, dated=dated)
        with PublishView() as view, engine.find(lambda text: view.phase("engine", text)) as found:
            done, failed = publish.publish(cat, found, signers, good, destination, view)
    finish(done, as_json, row=lambda done: [publish.row(each) for each in done], show=show_published)
    if failed:
        raise together(failed)
    publish.require_none_refused(refused)


def show_published(done: Sequence[Published]) -> None:
    """Print what was published, and what it took."""
    rows = (
        (
            each.image,
            ", ".join(each.tags),
            each.reference.rpartition("@")[2][7:19],
            str(each.attached),
            size(each.sent),
            f"{each.seconds:.1f}",
        )
        for each in done
    )
    say_table(("image", "tags", "digest", "attached", "sent", "seconds"), rows, right=("sent", "seconds"))


@click.command("verify")
@click.argument("reference")
@signer_options
@click.option("--require", type=click.Choice(LEVELS), default="E2", show_default=True, help="The least level.")
@click.option("--max-age", type=click.IntRange(0), default=365, show_default=True, help="Days; 0: however old.")
@click.option("--layers", is_flag=True, help="Read every layer too: content against digest and DiffID.")
@click.option(
    "--platform", metavar="OS/ARCH", default="", help="Of several, the one for this; else for this machine's."
)
@name_option
@plain_option
@json_option
def verify_command(reference: str, max_age: int, as_json: bool, **asked: Any) -> None:
    """Verify a published image from the registry alone; needs no engine and no checkout.

    Its publisher is known by a key, by an identity that signs without one, or by both: what counts is then signed by
    each.
    """
    from assay import verify
    from assay.certificate import Suites
    from assay.host import paths
    from assay.registry import Reference

    keys, beside = whose(*(asked.pop(name) for name in ("key", "identity", "issuer", "trust_root")))
    demands = verify.Demands(max_age_days=max_age or None, beside=beside, **asked)
    verdict = verify.verify(Reference.parse(reference), keys, Suites.read(paths.release()), demands)
    finish(verdict, as_json, row=verify.row, show=show_verdict, require=verify.require_passed)


def show_verdict(verdict: Verification) -> None:
    """Print what a published image's certificates amount to, and what is wrong; of a wrong key the error says all."""
    if verdict.unsigned and len(verdict.problems) == 1:
        return
    say((f"{verdict.reference}  {verdict.digest}", "bold"))
    if verdict.platform:
        say(f"  platform     {verdict.platform}")
    for certificate in verdict.certificates:
        level = certificate.shown or certificate.level
        say(f"  certificate  {certificate.device}: {level}, made {certificate.created}")
    for name in verdict.statements:
        say(f"  signed       {name}")
    for words in (*(f"with the key {name}" for name in verdict.keys), *(f"by {name}" for name in verdict.identities)):
        say(f"  {words}")
    for text in _remarks(verdict):
        say((text, "yellow"))
    for text in verdict.problems:
        say((f"  WRONG        {text}", "bold red"))
    if verdict.passed:
        say((f"  holds: {verdict.image}, {verdict.level}", "bold green"))


def _remarks(verdict: Verification) -> Iterator[str]:
    """What is no problem, and good to know."""
    if verdict.ended:
        yield f"  ended        {verdict.ended}"
    if verdict.caches:
        where = ", ".join(verdict.caches)
        yield f"  cache        built with the build cache {where}; `assay rebuild` builds it without, and compares"
    for text in verdict.ignored:
        yield f"  ignored      {text}"


@click.command("rebuild")
@click.argument("reference")
@key_option
@plain_option
@json_option
def rebuild_command(reference: str, key: Path, plain_http: bool, as_json: bool) -> None:
    """Build a published image again from its provenance, and compare; in a clone that has its commit."""
    from assay import reproduce
    from assay.attestation import read_keys
    from assay.cli.progress import BuildView
    from assay.registry import Reference

    named, public, root = Reference.parse(reference), read_keys(key), checkout()
    with BuildView() as view, engine_watched(view) as engine:
        rebuilt = reproduce.rebuild(root, named, public, engine, view, plain_http=plain_http)
    finish(rebuilt, as_json, row=reproduce.as_json, show=show_rebuilt, require=reproduce.require_rebuilt)


def show_rebuilt(rebuilt: Rebuilt) -> None:
    """Print whether the same bits came out, and where not."""
    say((f"{rebuilt.reference}  commit {rebuilt.commit[:12]}", "bold"))
    say(f"  published  {rebuilt.published}")
    say(f"  rebuilt    {rebuilt.rebuilt}")
    if rebuilt.caches:
        say(f"  cache      the published one was built with {', '.join(rebuilt.caches)}, and this one without")
    for layer in rebuilt.layers:
        say((f"  layer {layer.number}: {layer.count} files differ", "bold red"))
        for file in layer.files:
            say(f"    {file.path}: {file.what}")
    for name in rebuilt.configuration:
        say((f"  configuration: {name}", "bold red"))
    if rebuilt.recompressed:
        numbers = ", ".join(map(str, rebuilt.recompressed))
        say((f"  layer {numbers}: the same content, compressed differently", "green"))
    if rebuilt.published == rebuilt.rebuilt:
        say(("  the same, bit for bit", "bold green"))
    elif rebuilt.sameness.holds:
        say(("  the same files and configuration; only the compression differs", "bold green"))
