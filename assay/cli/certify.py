"""The command `certify`: an image that stands on a certified one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.console import finish, say
from assay.cli.options import certificates_root, checkout, json_option, plain_option
from assay.cli.smoke import SmokeView, show_outcome
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.certificate import Certificate, Suites
    from assay.derive import Certified


@click.command("certify")
@click.argument("image", metavar="REF")
@click.option(
    "--device", type=click.Choice(["cpu", "gpu"]), default="cpu", show_default=True, help="What to train on."
)
@click.option("--base", metavar="REF|FILE", help="Its base: a published image (with --key), or a certificate's file.")
@click.option(
    "--key",
    envvar="ASSAY_KEY",
    type=click.Path(path_type=Path),
    help="The publisher's key, for --base REF.",
)
@click.option("--memory", metavar="SIZE", help="Bound the container's memory, for instance 8g.")
@plain_option
@json_option
def certify_command(
    image: str, base: str | None, key: Path | None, plain_http: bool, as_json: bool, **options: str | None
) -> None:
    """Certify REF, an image of the engine that was derived from a certified one: FROM it, and packages added.

    Its layers have to begin with those of an image that is certified in this checkout, or is named with --base.
    """
    from assay import certify, derive, engine
    from assay.certificate import Suites

    root = certificates_root()
    suites = Suites.read(root)
    certificates = _certificates(root, suites, base, key, plain_http=plain_http)
    memory = options["memory"]
    how = certify.Options(
        device=options["device"] or "cpu", memory_bytes=None if memory is None else engine.parse_size(memory)
    )
    view = SmokeView(quiet=as_json)
    with engine.find() as found, view:
        view.start(image)
        certified = derive.certify(_kept_in(), found, image, certificates, (suites, how), view.phase)
    finish(certified, as_json, row=derive.as_json, show=show_certified, require=_require)


def show_certified(certified: Certified) -> None:
    """Print what the checks found, the base, and what was added to it."""
    base, derived = certified.base, certified.outcome.derived
    show_outcome(certified.outcome)
    say(f"  it stands on {base.image} {base.digest[7:19]}, certified {base.verdict.level} on {base.created[:10]}")
    for name, version in sorted(derived.added.items()) if derived else ():
        say(f"  added: {name} {version}")


def _certificates(
    root: Path, suites: Suites, base: str | None, key: Path | None, *, plain_http: bool
) -> list[Certificate]:
    """The certificates that the base may have."""
    from assay import derive
    from assay.attestation import read_keys
    from assay.registry import Reference

    if base is None:
        return derive.of_checkout(root, suites)
    if Path(base).is_file():
        return derive.of_file(Path(base), suites)
    reference = Reference.parse(base)
    if key is None:
        raise UsageError(f"{base} is verified with its publisher's key, and none is given", "Name it: --key FILE.")
    return derive.of_registry(reference, read_keys(key), suites, plain_http=plain_http)


def _kept_in() -> Path:
    """Where build/ is: in the checkout, else in the current folder."""
    try:
        return checkout()
    except UsageError:
        return Path.cwd()


def _require(certified: Certified) -> None:
    from assay import certify

    certify.require_passed([certified.outcome])
