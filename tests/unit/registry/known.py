"""What the tests of the registry client send, and how they reach the registry."""

from __future__ import annotations

import io

from assay.registry import (
    Credentials,
    Descriptor,
    Reference,
    Repository,
    digest_of,
)
from tests.fake_registry import Answer, FakeRegistry

DATA = bytes(range(256)) * 4000

DIGEST = digest_of(DATA)

BLOB = Descriptor("application/octet-stream", DIGEST, len(DATA))


def repository(fake: FakeRegistry, credentials: Credentials | None = None) -> Repository:
    return Repository(Reference.parse(f"{fake.host}/team/app"), credentials=credentials, pause=0.001)


def send(there: Repository, data: bytes = DATA) -> bool:
    return there.upload(digest_of(data), io.BytesIO(data), len(data))


def challenged(fake: FakeRegistry, challenge: str, accepted: str) -> None:
    def hook(method: str, path: str) -> Answer | None:
        said = fake.headers[-1].get("Authorization")
        if path.startswith("/token"):
            basic = Credentials("me", "secret").basic()
            return Answer(200, body=b'{"token": "abc"}') if said == basic else Answer(401)
        return None if said == accepted else Answer(401, {"WWW-Authenticate": challenge})

    fake.hook = hook
