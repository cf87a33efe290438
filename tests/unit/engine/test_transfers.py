"""What an engine sends to a registry, and fetches from it, by itself."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any

import docker.errors
import pytest
import requests

from assay.engine import Engine
from assay.errors import EngineMissing, RegistryFailed
from tests.unit.engine.sdk import Client, Container, engine, two_lines

THERE = "r.example/team/x"
LOGIN = {"username": "u", "password": "p"}


class Api:
    """The SDK's API, as far as it is used: ``said`` is what the engine streams, or raises."""

    base_url = "http+docker://fake"

    def __init__(self, *said: dict[str, str] | Exception, status: int = 200) -> None:
        self.said, self.status = said, status
        self.calls: list[tuple[Any, ...]] = []

    def _stream(self) -> Any:
        for line in self.said:
            if isinstance(line, Exception):
                raise line
            yield line

    def push(self, repository: str, tag: str, auth_config: Any, **_: Any) -> Any:
        self.calls.append(("push", repository, tag, auth_config))
        return self._stream()

    def pull(self, reference: str, auth_config: Any, **_: Any) -> Any:
        self.calls.append(("pull", reference, auth_config))
        return self._stream()

    def tag(self, *names: str) -> None:
        self.calls.append(("tag", *names))

    def remove_image(self, name: str) -> None:
        self.calls.append(("remove", name))

    def inspect_distribution(self, reference: str, auth_config: Any) -> None:
        self.calls.append(("ask", reference, auth_config))
        if self.status != 200:
            response = requests.Response()
            response.status_code = self.status
            raise docker.errors.APIError("said", response, "dial tcp: refused")


def told(api: Api) -> Engine:
    client = Client(Container())
    client.api = api  # type: ignore[assignment]
    return engine(client)


def nothing() -> None:
    return


def test_an_image_is_sent_under_a_name_that_does_not_stay() -> None:
    api = Api({"status": "Pushed"})
    told(api).push("assay/x:1", f"{THERE}:1", LOGIN, nothing)
    assert api.calls == [
        ("tag", "assay/x:1", THERE, "1"), ("push", THERE, "1", LOGIN), ("remove", f"{THERE}:1"),
    ]  # fmt: skip


def test_an_image_is_fetched_by_digest_and_has_our_name_then() -> None:
    api = Api({"status": "Pulled"})
    there = f"{THERE}@sha256:{'a' * 64}"
    told(api).fetch(there, "assay/x:1", None, nothing)
    assert api.calls == [("pull", there, None), ("tag", there, "assay/x", "1"), ("remove", there)]


def test_what_the_engine_calls_an_error() -> None:
    api = Api({"status": "Preparing"}, {"error": "denied: no"})
    with pytest.raises(RegistryFailed, match="was not sent: denied: no") as caught:
        told(api).push("assay/x:1", f"{THERE}:1", None, nothing)
    two_lines(caught.value)
    assert api.calls[-1] == ("remove", f"{THERE}:1")
    with pytest.raises(RegistryFailed, match="was not fetched: denied: no"):
        told(Api({"error": "denied: no"})).fetch(f"{THERE}@sha256:{'a' * 64}", "assay/x:1", None, nothing)


def test_an_engine_that_goes_away_while_it_sends() -> None:
    with pytest.raises(EngineMissing, match="went away"):
        told(Api(requests.ConnectionError("reset"))).push("assay/x:1", f"{THERE}:1", None, nothing)


def test_whoever_hears_may_end_it() -> None:
    def end() -> None:
        raise CancelledError

    api = Api({"status": "Preparing"})
    with pytest.raises(CancelledError):
        told(api).push("assay/x:1", f"{THERE}:1", None, end)
    assert api.calls[-1] == ("remove", f"{THERE}:1")


@pytest.mark.parametrize(("status", "reached"), [(200, True), (404, True), (401, True), (403, True), (500, False)])
def test_whether_an_engine_reaches_a_registry(status: int, reached: bool) -> None:
    api = Api(status=status)
    why = told(api).refusal(f"{THERE}:latest", LOGIN)
    assert why == (None if reached else "dial tcp: refused")
    assert api.calls == [("ask", f"{THERE}:latest", LOGIN)]
