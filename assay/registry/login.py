"""Logins to registries: what ``docker login`` left in Docker's own configuration, and its credential helpers.

Nothing is written, and a secret goes to the registry only: never to a log, an argument list or a file.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from assay.errors import RegistryFailed
from assay.host import process, secrets

DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
HUB_KEY = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9._-]+")
_TOKEN_USER = "<token>"  # noqa: S105 - what helpers say in place of a name when the secret is an identity token


@dataclass(frozen=True)
class Credentials:
    """A name and a password, or an identity token."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Nothing that is printed has a part of it that is secret."""
        secrets.keep(self.password, self.identity_token, self.basic().partition(" ")[2])

    def basic(self) -> str:
        """The value of a Basic Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class _Auth(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _Config(msgspec.Struct):
    auths: dict[str, _Auth] = {}
    credHelpers: dict[str, str] = {}  # noqa: N815 - Docker's names
    credsStore: str = ""  # noqa: N815


def find(host: str) -> Credentials | None:
    """The login for a registry; None where there is none.

    Raises `RegistryFailed` for a configuration that cannot be read, or a helper that is not there.
    """
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    path = folder / "config.json"
    try:
        config = msgspec.json.decode(path.read_bytes(), type=_Config)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        # The reason may quote the file, and the file holds secrets.
        raise RegistryFailed(f"{path} cannot be read as Docker's configuration", "Mend it there.") from None
    keys = (HUB_KEY, *DOCKER_HUB) if host in DOCKER_HUB else (host, f"https://{host}", f"http://{host}")
    for key in keys:
        helper = config.credHelpers.get(key) or config.credsStore
        found = _ask(helper, key) if helper else None
        found = found or _stored(config.auths.get(key), path)
        if found:
            return found
    return None


def _stored(entry: _Auth | None, path: Path) -> Credentials | None:
    if entry is None:
        return None
    name, password = entry.username, entry.password
    if entry.auth:
        try:
            name, _, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise RegistryFailed(f"{path} holds a login that cannot be read", "Run `docker login` again.") from None
    password = password.rstrip("\0")
    if not (name and password) and not entry.identitytoken:
        return None
    return Credentials(name, password, entry.identitytoken)


def _ask(helper: str, key: str) -> Credentials | None:
    """Ask a credential helper, over its standard input, as docker does."""
    program = f"docker-credential-{helper}"
    if not _HELPER.fullmatch(helper):
        raise RegistryFailed("Docker's configuration gives a credential helper no name", "Name it, without a path.")
    done = process.run([program, "get"], input=key.encode(), timeout=30)
    if done.returncode == 127:
        raise RegistryFailed(f"{program} is not on the path", "Install it, or run `docker login` without it.")
    if done.returncode != 0:
        return None  # it has no login for this registry
    try:
        answer: dict[str, Any] = msgspec.json.decode(done.stdout, type=dict[str, Any])
        name, secret = str(answer["Username"]), str(answer["Secret"])
    except (msgspec.DecodeError, KeyError, RecursionError):
        raise RegistryFailed(f"{program} answers with what is no login", f"Try it: {program} list") from None
    return Credentials(identity_token=secret) if name == _TOKEN_USER else Credentials(name, secret)
