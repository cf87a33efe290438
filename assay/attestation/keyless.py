"""Signing without a key, as Sigstore does it: by whom an identity token names. It takes the extra ``keyless``.

An authority gives a key that lives for minutes a certificate with that name; a transparency log keeps what it signed.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigstore.dsse import Statement
from sigstore.errors import Error
from sigstore.models import ClientTrustConfig
from sigstore.oidc import ExpiredIdentity, IdentityError, IdentityToken, detect_credential
from sigstore.sign import Signer, SigningContext
from sigstore.verify import Verifier

from assay.attestation.bundle import payload_of
from assay.attestation.identity import Identity, issuer_of, line_of, names_of
from assay.attestation.keys import LARGEST_KEY
from assay.errors import AssayError, RegistryFailed, UsageError
from assay.host import secrets

LARGEST_CONFIG = 4 * 2**20
_GIVE = "Name a file that holds one: --identity-token FILE. On a forge, let the job ask for one (id-token: write)."
_SERVICES = "Run it again: what is attached stays. If it comes back, ask whoever runs Sigstore's services."


@dataclass(frozen=True)
class Keyless:
    """Sigstore's services and their trust root, and where the identity token is: in a file, or given by the forge."""

    services: ClientTrustConfig
    token: Path | None = None

    @classmethod
    def configured(cls, trust_config: Path | None = None, token: Path | None = None) -> Keyless:
        """The services that a file names (Sigstore's client trust config), else the public-good ones.

        Raises `UsageError` where there is no token that is valid now, or the file is none; `RegistryFailed` where the
        public ones cannot be asked for.
        """
        found = cls(_public() if trust_config is None else _configured(trust_config), token)
        found.identity_token()
        return found

    def identity_token(self) -> IdentityToken:
        """A token that is valid now; it is read anew each time, since it lives for minutes."""
        text = _read(self.token, LARGEST_KEY).strip() if self.token else _ambient()
        secrets.keep(text)
        try:
            return IdentityToken(text)
        except IdentityError as error:
            where = self.token or "what the forge gave"
            raise UsageError(f"{where} is no identity token of use here: {line_of(error)}", _GIVE) from None

    def session(self) -> Session:
        """A certificate for the next minutes, and what signs with it."""
        token = self.identity_token()
        with _asked():
            signer = Signer(token, SigningContext.from_trust_config(self.services))
            # The library's only door to the certificate before something is signed, and signed is what lacks alone.
            certificate = signer._signing_cert()
            verifier = Verifier(trusted_root=self.services.trusted_root)
        return Session(signer, Identity(names_of(certificate), issuer_of(certificate), verifier))


@dataclass(frozen=True)
class Session:
    """What signs, and whose signatures these are, as whoever verifies has to name it."""

    signer: Signer
    identity: Identity

    def sign(self, statement: Mapping[str, Any]) -> bytes:
        """Return the Sigstore bundle of a Statement, which the log has by then; each time it is another one.

        Raises `RegistryFailed` where a service failed, `VerificationFailed` for a signature that nobody could verify.
        """
        with _asked():
            bundle = self.signer.sign_dsse(Statement(payload_of(statement))).to_json().encode()
        self.identity.opened(bundle, datetime.datetime.now(datetime.UTC))
        return bundle


def _public() -> ClientTrustConfig:
    try:
        return ClientTrustConfig.production()
    except (Error, OSError) as error:
        raise RegistryFailed(
            f"Sigstore's public services cannot be asked for: {line_of(error)}",
            "Let this machine reach them, or name services of your own: --trust-config FILE.",
        ) from None


def _configured(path: Path) -> ClientTrustConfig:
    try:
        return ClientTrustConfig.from_json(_read(path, LARGEST_CONFIG))
    except ValueError as error:
        raise UsageError(
            f"{path} is no trust config of Sigstore's clients: {line_of(error)}",
            "Name a file with mediaType, trustedRoot and signingConfig.",
        ) from None


def _ambient() -> str:
    """What the forge gives to the job that this runs in."""
    try:
        found = detect_credential()
    except IdentityError as error:
        raise UsageError(f"the forge gives no identity token: {line_of(error)}", _GIVE) from None
    if not found:
        raise UsageError("an identity token is wanted, and nothing here gives one", _GIVE)
    return found


def _read(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as file:
            return file.read(limit).decode(errors="replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "Name a file that is there.") from None


@contextlib.contextmanager
def _asked() -> Iterator[None]:
    """Whatever fails in the library or at a service of Sigstore's, in two lines."""
    try:
        yield
    except AssayError:
        raise
    except ExpiredIdentity:
        raise UsageError("the identity token ended before something was signed with it", _GIVE) from None
    except Exception as error:  # each client of the library has errors of its own, and requests' come through
        raise RegistryFailed(f"nothing was signed without a key: {line_of(error)}", _SERVICES) from None
