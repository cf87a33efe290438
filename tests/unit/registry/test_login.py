"""Docker's logins."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest

from assay.errors import RegistryFailed
from assay.registry import (
    Credentials,
)
from assay.registry.login import find
from tests.fake_registry import Answer, FakeRegistry
from tests.unit.registry.known import BLOB, DATA, repository, send


def test_the_login_that_docker_has(docker_config: Path) -> None:
    assert find("r.example") is None
    secret = base64.b64encode(b"me:pass:word").decode()
    docker_config.write_text(
        json.dumps({"auths": {"r.example": {"auth": secret}, "https://index.docker.io/v1/": {"auth": secret}}})
    )
    found = find("r.example")
    assert found == Credentials("me", "pass:word")
    assert "word" not in repr(found)
    assert find("docker.io") == found
    assert find("other.example") is None


def test_a_credential_helper_is_asked(docker_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = docker_config.parent / "docker-credential-test"
    helper.write_text('#!/bin/sh\nread host\n[ "$1 $host" = "get r.example" ] || exit 1\n'
                      'echo "{\\"Username\\": \\"me\\", \\"Secret\\": \\"word\\"}"\n')  # fmt: skip
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{docker_config.parent}{os.pathsep}{os.environ['PATH']}")
    docker_config.write_text(
        '{"credHelpers": {"r.example": "test", "gone.example": "not-there"}, "auths": {"r.example": {}}}'
    )
    assert find("r.example") == Credentials("me", "word")
    with pytest.raises(RegistryFailed, match="docker-credential-not-there is not on the path"):
        find("gone.example")


def test_a_broken_configuration_is_named_without_its_content(docker_config: Path) -> None:
    for text in ('{"auths": {"r.example": {"auth": "c2VjcmV0*"}}}', '{"auths": "c2VjcmV0'):
        docker_config.write_text(text)
        with pytest.raises(RegistryFailed) as caught:
            find("r.example")
        assert "c2VjcmV0" not in str(caught.value)


@pytest.mark.parametrize("name", ["../../evil", "/bin/true", "a b", "a\0", "", "x;y"])
def test_a_helper_that_is_no_name_is_not_run(docker_config: Path, name: str) -> None:
    docker_config.write_text(json.dumps({"credHelpers": {"r.example": name}}))
    if name:
        with pytest.raises(RegistryFailed, match="gives a credential helper no name"):
            find("r.example")
    else:
        assert find("r.example") is None


BROKEN = {
    "a helper that is missing": ('{"credsStore": "not-there"}', "docker-credential-not-there is not on the path"),
    "no JSON": ("{", "cannot be read as Docker's configuration"),
    "a path for a helper": ('{"credsStore": "../x"}', "gives a credential helper no name"),
}


@pytest.mark.parametrize(("config", "trouble"), BROKEN.values(), ids=BROKEN)
def test_what_is_public_is_read_without_the_logins_that_docker_has(
    docker_config: Path, fake: FakeRegistry, config: str, trouble: str
) -> None:
    docker_config.write_text(config)
    with repository(fake) as there:
        send(there)
        assert there.blob(BLOB, len(DATA)) == DATA, "nobody asks for a login"
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{fake.host}/token"'}

    def hook(method: str, path: str) -> Answer | None:
        if path.startswith("/token"):
            return Answer(200, body=b'{"token": "of-anybody"}')
        return None if fake.headers[-1].get("Authorization") == "Bearer of-anybody" else Answer(401, challenge)

    fake.hook = hook
    with repository(fake) as there:
        assert there.blob(BLOB, len(DATA)) == DATA, "everybody gets a token"
    fake.hook = lambda method, path: Answer(401, challenge if not path.startswith("/token") else {})
    with repository(fake) as there, pytest.raises(RegistryFailed, match="denies access") as caught:
        there.blob(BLOB, len(DATA))
    assert trouble in caught.value.what
