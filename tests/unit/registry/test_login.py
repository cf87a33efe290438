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
