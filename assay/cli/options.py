"""What several commands take: options and arguments, the checkout, the password."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.errors import UsageError
from assay.host import secrets

if TYPE_CHECKING:
    from assay.catalog import Catalog
    from assay.cli.progress import BuildView
    from assay.engine import Engine


def image_names(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The framework images of the checkout, or of this Assay, that begin with what was typed: for a shell."""
    from assay.catalog.files import described

    return [name for name in sorted(described(certificates_root())) if name.startswith(begun)]


images_argument = click.argument("images", nargs=-1, metavar="[IMAGE]...", shell_complete=image_names)
json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
key_option = click.option(
    "--key", required=True, envvar="ASSAY_KEY", type=click.Path(path_type=Path), help="The key file (ASSAY_KEY)."
)
pack_option = click.option(
    "--pack", is_flag=True, help="Keep images compressed until they are run: half the room (embedded engine only)."
)
name_option = click.option(
    "--name", metavar="IMAGE", help="The image that REF has to be, where its repository has another name."
)
platform_option = click.option("--platform", metavar="OS/ARCH", help="Of this platform alone, such as linux/arm64.")
here_option = click.option("--platform", metavar="OS/ARCH", help="For this platform, in place of this machine's.")
plain_option = click.option("--plain-http", is_flag=True, help="Speak HTTP without TLS, beyond loopback too.")


def checkout() -> Path:
    """Return the checkout that the command runs in: the closest folder upwards that holds images/ and smoke/."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "images").is_dir() and (folder / "smoke").is_dir():
            return folder
    raise UsageError(f"{here} is in no checkout of Assay", "Run this in a clone of the repository.")


def images_here(platform: str | None) -> Catalog:
    """Return the images of the checkout for a platform, or for this machine's; for the first where it has none."""
    from assay import catalog
    from assay.catalog.platforms import AMD64, PLATFORMS
    from assay.host import machine

    own = machine.oci_platform()
    return catalog.load(checkout(), platform=platform or (own if own in PLATFORMS else AMD64.name))


def certificates_root() -> Path:
    """Return where the certificates are: the checkout that the command runs in, else what this Assay came with."""
    from assay.host import paths

    try:
        return checkout()
    except UsageError:
        return paths.release()


def engine_watched(view: BuildView, meanwhile: Callable[[], None] = lambda: None) -> Engine:
    """Return the engine, and show how it is started; where it has to be, call ``meanwhile``."""
    from assay import engine

    def tell(text: str) -> None:
        view.phase("engine", text)
        meanwhile()

    found = engine.find(tell)
    view.phase("engine", "")
    return found


def password(*, confirm: bool) -> str:
    """Return the key's password from the environment, else ask for it; others can see a command line."""
    given = secrets.password()
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise UsageError(
            "the key's password is wanted, and this is no terminal", f"Set {secrets.PASSWORD_VARIABLE}, or use one."
        )
    text = "Password for the new key (8 characters or more)" if confirm else "Password of the key"
    typed = str(click.prompt(text, hide_input=True, confirmation_prompt=confirm, err=True))
    secrets.keep(typed)
    return typed
