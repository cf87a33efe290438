"""What an engine sends to a registry and fetches from it, by itself: nothing goes through this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import docker.errors

from assay.engine.connection import Connection, answered
from assay.errors import RegistryFailed

Login = Mapping[str, str]  # as Docker's API has it: username and password, or identitytoken
_TODO = "See that the builder reaches the registry and trusts its certificate; what is finished is kept."


class Transfers(Connection):
    """Sends images to registries, and fetches them."""

    @answered
    def refusal(self, reference: str, login: Login | None) -> str | None:
        """Return why the engine cannot reach the registry of a reference; None if it can, whatever is there."""
        api: Any = self.client.api
        try:
            api.inspect_distribution(reference, auth_config=dict(login) if login else None)
        except docker.errors.APIError as error:
            # A registry that answers has no such image, or wants another login; else it is the engine that fails.
            return str(error.explanation or error) if (error.status_code or 500) >= 500 else None
        return None

    @answered
    def push(self, local: str, reference: str, login: Login | None, heard: Callable[[], None]) -> None:
        """Send a local image to a registry under ``reference`` (with a tag); ``heard`` may raise what ends it.

        Raises `RegistryFailed` where the registry does not take it.
        """
        repository, _, tag = reference.rpartition(":")
        self.client.api.tag(local, repository, tag)
        try:
            said = self.client.api.push(
                repository, tag, stream=True, decode=True, auth_config=dict(login) if login else None
            )
            _heed(said, f"{reference} was not sent", heard)
        finally:
            self.client.api.remove_image(reference)

    @answered
    def fetch(self, reference: str, local: str, login: Login | None, heard: Callable[[], None]) -> None:
        """Fetch an image (``reference`` with a digest) and give it a local name; ``heard`` may raise what ends it.

        Raises `RegistryFailed` where the engine does not get it.
        """
        said = self.client.api.pull(reference, stream=True, decode=True, auth_config=dict(login) if login else None)
        _heed(said, f"{reference} was not fetched", heard)
        repository, _, tag = local.rpartition(":")
        self.client.api.tag(reference, repository, tag)
        self.client.api.remove_image(reference)


def _heed(said: Iterable[dict[str, Any]], what: str, heard: Callable[[], None]) -> None:
    """Hear an engine out, and raise what it calls an error."""
    for line in said:
        heard()
        if line.get("error"):
            raise RegistryFailed(f"{what}: {line['error']}", _TODO)
