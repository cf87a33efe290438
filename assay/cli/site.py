"""``assay site``: pages of the images, of their certificates and of what was measured with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from assay.cli.console import say, size
from assay.cli.options import checkout, name_option, plain_option
from assay.errors import UsageError


@click.command("site")
@click.argument("references", nargs=-1, metavar="[REF]...")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The folder of the pages.")
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
    from assay import catalog, site
    from assay.attestation import PublicKey
    from assay.certificate import Suites
    from assay.host import paths
    from assay.registry import Reference

    if references and key:
        named = [Reference.parse(reference) for reference in references]
        subjects = site.of_registry(named, PublicKey.read(key), Suites.read(paths.release()), **demanded)
    else:
        root = checkout()
        subjects = site.of_checkout(catalog.load(root), Suites.read(root))
    pages = site.write(site.Site(tuple(subjects)), out)
    total = sum(path.stat().st_size for path in pages)
    say(f"{len(pages)} pages, {size(total)}: {(out / 'index.html').resolve()}")
