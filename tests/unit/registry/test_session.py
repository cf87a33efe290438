"""Where the client lets itself be sent."""

from __future__ import annotations

import pytest

from assay.errors import RegistryFailed
from assay.registry import (
    Credentials,
)
from tests.fake_registry import Answer, FakeRegistry
from tests.unit.registry.known import BLOB, DIGEST, repository, send


def test_a_manifest_is_not_redirected(fake: FakeRegistry) -> None:
    fake.always("GET", "/manifests/", Answer(307, {"Location": "https://evil.example/x"}))
    with repository(fake) as there, pytest.raises(RegistryFailed, match=r"elsewhere, to https://evil\.example"):
        there.manifest()


@pytest.mark.parametrize(
    "there", ["http://evil.example/x", "https://127.0.0.1/x", "ftp://evil.example/x", "file:///x"]
)
def test_a_blob_is_redirected_over_tls_only(fake: FakeRegistry, there: str) -> None:
    fake.always("GET", "/blobs/", Answer(307, {"Location": there}))
    with repository(fake) as asked, pytest.raises(RegistryFailed, match="elsewhere"):
        asked.blob(BLOB, 2**21)


def test_redirects_in_a_circle_end(fake: FakeRegistry) -> None:
    fake.always("GET", "/blobs/", Answer(307, {"Location": f"/v2/team/app/blobs/{DIGEST}"}))
    with repository(fake) as there, pytest.raises(RegistryFailed, match="redirects"):
        there.blob(BLOB, 2**21)
    assert len(fake.log) < 10


def test_an_upload_is_not_sent_elsewhere(fake: FakeRegistry) -> None:
    fake.always("POST", "/uploads/", Answer(202, {"Location": "https://evil.example/upload"}))
    with repository(fake, Credentials("me", "secret")) as there, pytest.raises(RegistryFailed, match="elsewhere"):
        send(there)


def test_a_next_page_is_the_registrys_own(fake: FakeRegistry) -> None:
    link = {"Link": '<https://evil.example/next>; rel="next"'}
    fake.always("GET", "/referrers/", Answer(200, link, b'{"manifests": []}'))
    with repository(fake) as there, pytest.raises(RegistryFailed, match="elsewhere"):
        there.referrers(DIGEST)
