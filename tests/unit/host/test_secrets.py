"""Secrets: out of the environment, and in nothing that is said."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from assay.host import process, secrets


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setattr(secrets, "_taken", {})
    return


def test_a_password_leaves_the_environment_and_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_PASSWORD", "correct horse")
    secrets.take()
    assert "ASSAY_PASSWORD" not in os.environ
    assert "correct horse" not in process.run(["env"]).stdout
    assert secrets.password() == "correct horse"
    assert secrets.password() is None


def test_an_empty_password_is_one_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_PASSWORD", "")
    secrets.take()
    assert secrets.password() == ""


def test_what_is_known_is_hidden_as_it_is_and_as_it_is_sent() -> None:
    secrets.keep("s3cret/&word", "long s3cret/&word", "short", "")
    assert secrets.hidden("a s3cret/&word, s3cret%2F%26word") == "a [secret], [secret]"
    assert secrets.hidden("the long s3cret/&word") == "the [secret]"
    assert secrets.hidden("short texts stay") == "short texts stay"
