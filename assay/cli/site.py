"""``assay site``: pages of the images, of their certificates and of what was measured with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.console import say, size
from assay.cli.options import checkout, name_option, plain_option
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.site import Site


@click.command("site")
@click.argument("references", nargs=-1, metavar="[REF]...")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The folder of the pages."
)
@click.option("--key", envvar="ASSAY_KEY", type=click.Path(path_type=Path), help="The publisher's key, for REF.")
@name_option
@plain_option
def site_command(references: tuple[str, ...], out: Path, key: Path | None, **demanded: Any) -> None:
    """Write a static site of the images: certificates, which image runs where, the comparison.

    It works from a folder, without a server, a network or scripts.

    Of images in a registry (REF) it reads the certificates attached there that --key has signed; without REF it shows
    the certificates and the results of this checkout.
    """
    if references and key is None:
        raise UsageError("a certificate in a registry counts if it is signed", "Name the publisher's key with --key.")
    site, written = _site(references, key, demanded)
    pages = written(site, out)
    total = sum(path.stat().st_size for path in pages)
    say(f"{len(pages)} pages, {size(total)}: {(out / 'index.html').resolve()}")


def _site(
    references: tuple[str, ...], key: Path | None, demanded: dict[str, Any]
) -> tuple[Site, Callable[[Site, Path], list[Path]]]:
    """What is shown, and what writes it."""
    try:
        from assay import site
    except ModuleNotFoundError as error:
        if error.name not in {"jinja2", "markupsafe"}:
            raise
        raise UsageError("Jinja2 is not installed, and a site is made with it", "pip install 'assay[site]'") from None
    from assay import catalog
    from assay.attestation import PublicKey
    from assay.certificate import Suites
    from assay.compare import compare
    from assay.host import paths
    from assay.registry import Reference

    if references and key:
        named = [Reference.parse(reference) for reference in references]
        suites = Suites.read(paths.release())
        found = site.of_registry(named, PublicKey.read(key), suites, **demanded)
        return site.Site(tuple(found)), site.write
    root = checkout()
    subjects = site.of_checkout(catalog.load(root), Suites.read(root))
    return site.Site(tuple(subjects), compare(root), root), site.write
