"""Who gets the credentials."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from assay.cli.console import show_error
from assay.errors import RegistryFailed
from assay.registry import (
    Credentials,
    address,
)
from assay.registry.token import is_its_own
from tests.fake_registry import Answer, FakeRegistry
from tests.unit.registry.known import DIGEST, challenged, repository, send


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


DICTATED = "repository:secret/other:pull,push,delete registry:catalog:*"


def bearer(fake: FakeRegistry, scope: str = DICTATED) -> None:
    challenged(fake, f'Bearer realm="http://{fake.host}/token",service="s",scope="{scope}"', "Bearer abc")


def scopes(fake: FakeRegistry) -> list[str]:
    """What the token service was asked for."""
    paths = [path for _, path in fake.log if path.startswith("/token")]
    assert all(parse_qs(urlsplit(path).query)["service"] == ["s"] for path in paths)
    return [parse_qs(urlsplit(path).query)["scope"][0] for path in paths]


def test_token_authentication(fake: FakeRegistry) -> None:
    bearer(fake)
    with repository(fake, Credentials("me", "secret")) as there:
        assert send(there)
    with repository(fake, Credentials("me", "wrong")) as there, pytest.raises(RegistryFailed, match="denies"):
        send(there)


@pytest.mark.parametrize("scope", ["", DICTATED, "repository:team/app:delete"])
def test_a_token_is_asked_for_what_is_done_and_not_for_what_the_registry_would_like(
    fake: FakeRegistry, scope: str
) -> None:
    bearer(fake, scope)
    known = Credentials("me", "secret")
    with repository(fake, known) as there:
        assert there.size(DIGEST) is None
    assert scopes(fake) == ["repository:team/app:pull"]
    fake.log.clear()
    with repository(fake, known) as there:
        there.mount(DIGEST, "team/parent")
    assert scopes(fake) == ["repository:team/app:pull,push repository:team/parent:pull"]


def test_who_writes_goes_on_writing(fake: FakeRegistry) -> None:
    """Each token lasts for one request: that which asks how far an upload got is one that writes, too."""
    told = iter(range(10**6))

    def hook(method: str, path: str) -> Answer | None:
        if path.startswith("/token"):
            return Answer(200, body=b'{"token": "%d"}' % next(told))
        said = fake.headers[-1].get("Authorization")
        fresh = said and sum(one.get("Authorization") == said for one in fake.headers) == 1
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{fake.host}/token",service="s"'}
        return None if fresh else Answer(401, challenge)

    fake.hook = hook
    with repository(fake, Credentials("me", "secret")) as there:
        assert there.size(DIGEST) is None
        there.put_manifest(b"{}", "application/json")
        assert there.size(DIGEST) is None
    assert [scope.rpartition(":")[2] for scope in scopes(fake)] == ["pull", "pull,push", "pull,push"]


ECHOES = [
    lambda said: Answer(400, body=json.dumps({"errors": [{"message": f"you said {said}"}]}).encode()),
    lambda said: Answer(400, {"X": "y"}, body=json.dumps({"errors": [{"code": said}]}).encode()),
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("challenge", ['Basic realm="x"', "Bearer"])
def test_no_message_has_a_secret_that_the_registry_says_again(
    fake: FakeRegistry, capsys: pytest.CaptureFixture[str], echo: Callable[[str], Answer], challenge: str
) -> None:
    token = "t0ken-of-the-service"

    def hook(method: str, path: str) -> Answer | None:
        if path.startswith("/token"):
            return Answer(200, body=json.dumps({"token": token}).encode())
        said = fake.headers[-1].get("Authorization", "")
        realm = f'Bearer realm="http://{fake.host}/token"' if challenge == "Bearer" else challenge
        return echo(f"{said} hunter2%21 hunter2!") if said else Answer(401, {"WWW-Authenticate": realm})

    fake.hook = hook
    known = Credentials("me", "hunter2!")
    with repository(fake, known) as there, pytest.raises(RegistryFailed, match="HTTP 400") as caught:
        there.manifest()
    show_error(caught.value)
    said = capsys.readouterr().err
    assert "[secret]" in said
    for secret in ("hunter2", known.basic().split()[1], token):
        assert secret not in said


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
        ("registry.gitlab.com", "https://gitlab.com/jwt/auth", True),
        ("registry.team.co.uk", "https://auth.team.co.uk/token", True),
        ("team.co.uk", "https://evil.co.uk/token", False),
        ("team.github.io", "https://evil.github.io/token", False),
        ("team.azurecr.io", "https://team.azurecr.io/oauth2/token", True),
        ("team.azurecr.io", "https://evil.azurecr.io/oauth2/token", False),
        ("team.azurecr.io", "https://azurecr.io/oauth2/token", False),
        ("1.dkr.ecr.eu-west-1.amazonaws.com", "https://evil.s3.amazonaws.com/token", False),
        ("registry.internal", "https://evil.internal/token", False),
        ("registry", "https://registry/token", True),
        ("registry", "https://auth/token", False),
        ("registry.example:5000", "https://registry.example:5001/token", True),
    ],
)
def test_whose_a_token_service_is(host: str, realm: str, so: bool) -> None:
    there, home = address.parse(realm), address.parse(f"https://{host}")
    assert home is not None
    assert (there is not None and is_its_own(there, home)) is so
