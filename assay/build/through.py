"""Where the results of several builders meet: a registry, in which each image lies under its digest.

Builders send and fetch by themselves; this machine asks the registry what it has. The tags there follow from the
digests, and are names for whoever fetches: nothing is published by them.
"""

from __future__ import annotations

import functools
import threading
from concurrent.futures import CancelledError
from dataclasses import dataclass

from assay.catalog.built import short, tag
from assay.engine import Engine
from assay.errors import RegistryFailed
from assay.registry import Reference, Repository, login


@dataclass(frozen=True)
class Through:
    """A registry, HOST/PATH: IMAGE goes to HOST/PATH/IMAGE."""

    registry: str
    plain_http: bool = False

    def reference(self, name: str) -> Reference:
        """An image's name there; `UsageError` where that is no reference to a registry."""
        return Reference.parse(f"{self.registry.rstrip('/')}/{name}")

    def has(self, name: str, digest: str) -> bool:
        """Whether the registry has an image of this digest."""
        with Repository(self.reference(name), plain_http=self.plain_http) as repository:
            return repository.digest(digest) == digest

    def refusal(self, engine: Engine, name: str) -> str | None:
        """Why an engine does not reach the registry; None if it does."""
        return engine.refusal(str(self.reference(name)), self._login(name))

    def send(self, engine: Engine, name: str, digest: str, stop: threading.Event) -> None:
        """Have an engine send its image, unless it is there.

        Raises `RegistryFailed` where it does not arrive, `CancelledError` once ``stop`` is set.
        """
        if self.has(name, digest):
            return
        there = f"{self.reference(name).host}/{self.reference(name).path}:{short(digest)}"
        engine.push(tag(name, short(digest)), there, self._login(name), functools.partial(_heed, stop))
        if not self.has(name, digest):
            raise RegistryFailed(
                f"{there} was sent, and the registry has no {digest[:19]}",
                "Is its containerd image store on? Without it an engine sends other bytes than it built.",
            )

    def fetch(self, engine: Engine, name: str, digest: str, stop: threading.Event) -> None:
        """Have an engine fetch an image, under the names that it has where it is built."""
        there, heard = str(self.reference(name).at(digest)), functools.partial(_heed, stop)
        engine.fetch(there, tag(name, short(digest)), self._login(name), heard)
        engine.tag(tag(name, short(digest)), tag(name, "latest"))

    def _login(self, name: str) -> dict[str, str] | None:
        found = login.find(self.reference(name).host)
        if found is None:
            return None
        if found.identity_token:
            return {"identitytoken": found.identity_token}
        return {"username": found.username, "password": found.password}


def _heed(stop: threading.Event) -> None:
    if stop.is_set():
        raise CancelledError
