"""Who gets the credentials."""

from __future__ import annotations

import pytest

from assay.errors import RegistryFailed
from assay.registry import (
    Credentials,
    address,
)
from assay.registry.token import is_its_own
from tests.fake_registry import Answer, FakeRegistry
from tests.unit.registry.known import challenged, repository, send


def test_basic_authentication(fake: FakeRegistry) -> None:
    known = Credentials("me", "secret")
    challenged(fake, 'Basic realm="x"', known.basic())
    with repository(fake, known) as there:
        assert send(there)
    with (
        repository(fake, Credentials("me", "wrong")) as there,
        pytest.raises(RegistryFailed, match="denies") as caught,
    ):
        send(there)
    assert "wrong" not in str(caught.value)


def test_token_authentication(fake: FakeRegistry) -> None:
    challenged(
        fake,
        f'Bearer realm="http://{fake.host}/token",service="s",scope="repository:team/app:pull,push"',
        "Bearer abc",
    )
    with repository(fake, Credentials("me", "secret")) as there:
        assert send(there)
    asked = next(path for _, path in fake.log if path.startswith("/token"))
    assert "scope=repository%3Ateam%2Fapp%3Apull%2Cpush" in asked
    with repository(fake, Credentials("me", "wrong")) as there, pytest.raises(RegistryFailed, match="denies"):
        send(there)


@pytest.mark.parametrize("body", [b"x", b"[" * 9_000, b'{"token": "a' + b"b" * 2**21 + b'"}'])
def test_a_token_that_breaks_off_or_is_none(fake: FakeRegistry, body: bytes) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{fake.host}/token"'}
    broken = {"Content_Length": str(len(body) + 1)}
    fake.hook = lambda method, path: (
        Answer(200, broken, body, keep=0) if path.startswith("/token") else Answer(401, challenge)
    )
    with repository(fake) as there, pytest.raises(RegistryFailed, match=r"broke off its token|more than"):
        there.manifest()


def test_credentials_go_to_no_foreign_token_service(fake: FakeRegistry) -> None:
    challenged(fake, 'Bearer realm="https://evil.example/token",service="s"', "Bearer abc")
    with repository(fake, Credentials("me", "secret")) as there, pytest.raises(RegistryFailed, match="not its own"):
        send(there)


@pytest.mark.parametrize(
    ("host", "realm", "so"),
    [
        ("registry-1.docker.io", "https://auth.docker.io/token", True),
        ("registry.example", "https://registry.example/token", True),
        ("registry.example", "http://registry.example/token", False),
        ("registry.example", "https://other.test/token", False),
        ("10.0.0.1:5000", "https://20.1.0.1/token", False),
        ("registry.example", "https://registry.example.evil.test/token", False),
        ("registry.example", "http://[broken", False),
    ],
)
def test_whose_a_token_service_is(host: str, realm: str, so: bool) -> None:
    there, home = address.parse(realm), address.parse(f"https://{host}")
    assert home is not None
    assert (there is not None and is_its_own(there, home)) is so
