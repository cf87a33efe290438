"""The answer to a registry's challenge: a token of its own token service, or a name and a password.

Credentials go to the registry and to its own token service, and nowhere else.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import parse_http_list, parse_keqv_list

import requests

from assay.errors import RegistryFailed
from assay.host import secrets
from assay.registry import address, login
from assay.registry.address import Address
from assay.registry.connection import LARGEST_ANSWER, Connection
from assay.registry.content import decode
from assay.registry.login import Credentials

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


# Registries that give each customer a host of their own, and of which the public suffix list does not know.
_SHARED = ("amazonaws.com", "azurecr.io", "jfrog.io")


class Authority:
    """What this client may show a registry: its credentials, if there are any."""

    def __init__(self, connection: Connection, credentials: Credentials | None = None) -> None:
        """Credentials are Docker's own unless given; those are looked for once the registry asks for some."""
        self._connection = connection
        self._credentials = credentials
        self._trouble: RegistryFailed | None = None
        self._looked = credentials is not None
        self._actions = "pull"

    def header(self, response: requests.Response) -> dict[str, str]:
        """The Authorization header that a 401 asks for. Raises `RegistryFailed` where there is none to give."""
        known = self._known()
        kind, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        if kind.lower() == "basic" and known:
            return {"Authorization": known.basic()}
        if kind.lower() != "bearer":
            raise self.denied(response)
        challenge = _challenge(rest)
        realm = address.parse(challenge.get("realm", ""))
        host = self._connection.reference.host
        if realm is None or not is_its_own(realm, self._connection.home):
            raise RegistryFailed(
                f"{host} sends for a token to {address.shown(realm)}, which is not its own",
                "Credentials go to a registry and to its own domain only: ask whoever runs it.",
            )
        params = {"scope": self._scope(response.request)}
        if challenge.get("service"):
            params["service"] = challenge["service"]
        token = self._token(realm.text, params, known)
        secrets.keep(token)
        return {"Authorization": f"Bearer {token}"}

    def denied(self, response: requests.Response) -> RegistryFailed:
        """The error for an answer that refuses access."""
        who = "the login that docker has for it" if self._known() else "no login"
        reference = self._connection.reference
        what = f"{reference.host} denies access to {reference.path} with {who}: HTTP {response.status_code}"
        if self._trouble:
            return RegistryFailed(f"{what} ({self._trouble.what})", self._trouble.todo)
        return RegistryFailed(what, f"`docker login {reference.host}`, with an account that may do this.")

    def _known(self) -> Credentials | None:
        """The credentials. Where Docker's cannot be read it is tried without: what is public needs none."""
        if not self._looked:
            self._looked = True
            try:
                self._credentials = login.find(self._connection.reference.host)
            except RegistryFailed as error:
                self._trouble = error
        return self._credentials

    def _scope(self, request: requests.PreparedRequest) -> str:
        """What a token has to allow for a request, whatever the registry would like it to allow.

        That is the repository itself, and the one that a blob is mounted from. Who has begun to write goes on so.
        """
        if request.method not in {"GET", "HEAD"}:
            self._actions = "pull,push"
        wanted = [f"repository:{self._connection.reference.path}:{self._actions}"]
        if request.method == "POST":  # to an address of ours, while others are the registry's
            query = parse_qs(urlsplit(request.url or "").query)
            wanted += [f"repository:{path}:pull" for path in query.get("from", ())]
        return " ".join(wanted)

    def _token(self, realm: str, params: dict[str, str], known: Credentials | None) -> str:
        if known and known.identity_token:
            form = {
                **params,
                "grant_type": "refresh_token",
                "refresh_token": known.identity_token,
                "client_id": "assay",
            }
            answer = self._connection.once("POST", realm, {}, {"data": form, "stream": True})
        else:
            basic = {"Authorization": known.basic()} if known else {}
            answer = self._connection.once("GET", realm, basic, {"params": params, "stream": True})
        try:
            if answer.status_code != 200:
                raise self.denied(answer)
            data = self._connection.body(answer, LARGEST_ANSWER)
        except requests.RequestException as error:
            raise self._connection.failed("broke off its token", error) from error
        finally:
            answer.close()
        found = decode(data, dict[str, Any], "the token service's answer")
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise self._connection.failed("gives no token", None)
        return token


def is_its_own(realm: Address, home: Address) -> bool:
    """Whether a token service belongs to the registry at ``home``: the same host, or the same domain over TLS.

    Hosts are of one domain if somebody has registered it: not in co.uk, nor where each customer has a host.
    """
    if realm.origin == home.origin or (home.is_loopback and realm.is_loopback):
        return True
    if realm.scheme != "https" or home.ip is not None:
        return False
    domain = _domain(home.host)
    return realm.host == home.host or (domain is not None and _domain(realm.host) == domain)


def _domain(host: str) -> str | None:
    """The domain that somebody has registered, which a host is in; None for a public suffix or a shared host."""
    if host.endswith(tuple(f".{each}" for each in _SHARED)):
        return None
    return _public_suffixes().privatesuffix(host)


@functools.cache
def _public_suffixes() -> PublicSuffixList:
    """The list that the library came with: nothing is asked of the network. It takes a fifth of a second to read."""
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - few registries send to another host

    return PublicSuffixList()


def _challenge(text: str) -> dict[str, str]:
    """The parameters of a WWW-Authenticate header; none where they cannot be read."""
    try:
        return parse_keqv_list(parse_http_list(text))
    except (ValueError, IndexError):
        return {}
