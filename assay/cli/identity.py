"""Who signs, and whose signatures count, as `publish` and `verify` take it: a key, an identity, or both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from assay.cli.options import password
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.attestation import Keys
    from assay.attestation.identity import Identity
    from assay.attestation.keyless import Keyless
    from assay.publish import Signers

Command = TypeVar("Command", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)
_KEY = click.option("--key", envvar="ASSAY_KEY", type=_FILE, help="The key file (ASSAY_KEY).")
_INSTALL = "pip install 'assay[keyless]'"


def signer_options(command: Command) -> Command:
    """Give a command the options that say whose signatures count."""
    options = (
        _KEY,
        click.option("--identity", metavar="NAME", help="Who signed without a key: an address, a workflow's URL."),
        click.option("--issuer", metavar="URL", help="Who vouched for that identity."),
        click.option("--trust-root", type=_FILE, help="Sigstore's trusted_root.json (default: the public one)."),
    )
    return _with(options, command)


def keyless_options(command: Command) -> Command:
    """Give a command the options that say who signs."""
    options = (
        _KEY,
        click.option("--keyless", is_flag=True, help="Sign without a key too, as whom an identity token names."),
        click.option(
            "--identity-token",
            envvar="ASSAY_IDENTITY_TOKEN",
            type=_FILE,
            help="The file with that token (ASSAY_IDENTITY_TOKEN; default: the forge's).",
        ),
        click.option("--trust-config", type=_FILE, help="Sigstore services of your own (default: the public ones)."),
    )
    return _with(options, command)


def require_signer(*, key: Path | None, keyless: bool, trust_config: Path | None, **_: object) -> None:
    """Raise `UsageError` where nothing is to be signed with, before anything is asked for."""
    if not (key or keyless):
        raise UsageError("nothing is published unsigned", "Name a key with --key, or sign without one: --keyless.")
    if trust_config and not keyless:
        raise UsageError("--trust-config is of no use with a key", "Add --keyless, or leave it out.")


def signers_of(key: Path | None, keyless: bool, identity_token: Path | None, trust_config: Path | None) -> Signers:
    """Return what statements are signed with; asks for the key's password."""
    from assay import publish
    from assay.attestation import PrivateKey

    without = _keyless(identity_token, trust_config) if keyless else None
    return publish.Signers(PrivateKey.read(key, password(confirm=False)) if key else None, without)


def whose(
    key: Path | None, identity: str | None, issuer: str | None, trust_root: Path | None
) -> tuple[Keys, Keys | None]:
    """Return whose signatures count, and who has to have signed as well, if anybody."""
    if (identity is None) != (issuer is None):
        what = "an identity is somebody's only with the issuer that vouched for it"
        raise UsageError(what, "Give both: --identity NAME --issuer URL.")
    if identity == "" or issuer == "":
        raise UsageError("the identity or its issuer is empty", "Give both: --identity NAME --issuer URL.")
    if identity is None or issuer is None:
        if trust_root is not None:
            raise UsageError("--trust-root is of no use with a key", "Add --identity and --issuer, or leave it out.")
        if key is None:
            raise UsageError(
                "whose signatures count is not said", "Name the publisher's key (--key), or --identity and --issuer."
            )
        return _read(key), None
    trusted = _identity(identity, issuer, trust_root)
    return (trusted, None) if key is None else (_read(key), trusted)


def _with(options: tuple[Callable[[Command], Command], ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _read(key: Path) -> Keys:
    from assay.attestation import read_keys

    return read_keys(key)


def _identity(identity: str, issuer: str, trust_root: Path | None) -> Identity:
    try:
        from assay.attestation.identity import Identity
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    return Identity.trusted(identity, issuer, trust_root)


def _keyless(token: Path | None, trust_config: Path | None) -> Keyless:
    try:
        from assay.attestation.keyless import Keyless
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    return Keyless.configured(trust_config, token)


def _missing(error: ModuleNotFoundError) -> Exception:
    """What to say where the library is not installed; any other module that is absent is a fault of ours."""
    if (error.name or "").partition(".")[0] != "sigstore":
        return error
    return UsageError("sigstore is not installed, and keyless signatures are made and checked with it", _INSTALL)
