"""The answer to a registry's challenge: a token of its own token service, or a name and a password.

Credentials go to the registry and to its own token service, and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.request import parse_http_list, parse_keqv_list

import requests

from assay.errors import RegistryFailed
from assay.registry import address
from assay.registry.address import Address
from assay.registry.connection import LARGEST_ANSWER, Connection
from assay.registry.content import decode
from assay.registry.login import Credentials


@dataclass(frozen=True)
class Authority:
    """What this client may show a registry: its credentials, if there are any."""

    connection: Connection
    credentials: Credentials | None

    def header(self, response: requests.Response) -> dict[str, str]:
        """The Authorization header that a 401 asks for. Raises `RegistryFailed` where there is none to give."""
        kind, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        if kind.lower() == "basic" and self.credentials:
            return {"Authorization": self.credentials.basic()}
        if kind.lower() != "bearer":
            raise self.denied(response)
        challenge = _challenge(rest)
        realm = address.parse(challenge.get("realm", ""))
        if realm is None or not is_its_own(realm, self.connection.home):
            raise RegistryFailed(
                f"{self.connection.reference.host} sends for a token to {address.shown(realm)}, which is not its own",
                "Credentials go to a registry and to its own domain only: ask whoever runs it.",
            )
        params = {name: challenge[name] for name in ("service", "scope") if challenge.get(name)}
        return {"Authorization": f"Bearer {self._token(realm.text, params)}"}

    def denied(self, response: requests.Response) -> RegistryFailed:
        """The error for an answer that refuses access."""
        who = "the login that docker has for it" if self.credentials else "no login"
        reference = self.connection.reference
        return RegistryFailed(
            f"{reference.host} denies access to {reference.path} with {who}: HTTP {response.status_code}",
            f"`docker login {reference.host}`, with an account that may do this.",
        )

    def _token(self, realm: str, params: dict[str, str]) -> str:
        known = self.credentials
        if known and known.identity_token:
            form = {
                **params,
                "grant_type": "refresh_token",
                "refresh_token": known.identity_token,
                "client_id": "assay",
            }
            answer = self.connection.once("POST", realm, {}, {"data": form, "stream": True})
        else:
            basic = {"Authorization": known.basic()} if known else {}
            answer = self.connection.once("GET", realm, basic, {"params": params, "stream": True})
        try:
            if answer.status_code != 200:
                raise self.denied(answer)
            data = self.connection.body(answer, LARGEST_ANSWER)
        except requests.RequestException as error:
            raise self.connection.failed("broke off its token", error) from error
        finally:
            answer.close()
        found = decode(data, dict[str, Any], "the token service's answer")
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise self.connection.failed("gives no token", None)
        return token


def is_its_own(realm: Address, home: Address) -> bool:
    """Whether a token service belongs to the registry at ``home``: the same host, or the same domain over TLS."""
    if realm.origin == home.origin or (home.is_loopback and realm.is_loopback):
        return True
    same = realm.host.split(".")[-2:] == home.host.split(".")[-2:]
    return realm.scheme == "https" and same and home.ip is None


def _challenge(text: str) -> dict[str, str]:
    """The parameters of a WWW-Authenticate header; none where they cannot be read."""
    try:
        return parse_keqv_list(parse_http_list(text))
    except (ValueError, IndexError):
        return {}
