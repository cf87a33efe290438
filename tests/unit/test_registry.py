"""The registry client, against a registry that misbehaves at a chosen moment."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import AssayError, RegistryFailed, UsageError, VerificationFailed
from assay.registry import (
    OCI_INDEX,
    OCI_MANIFEST,
    Credentials,
    Descriptor,
    ImageManifest,
    Manifest,
    NotThere,
    Reference,
    Repository,
    address,
    decode,
    digest_of,
    fallback_tag,
)
from assay.registry.connection import ATTEMPTS
from assay.registry.content import Index
from assay.registry.login import find
from assay.registry.token import is_its_own
from tests.fake_registry import Answer, FakeRegistry, serving

DATA = bytes(range(256)) * 4000
DIGEST = digest_of(DATA)
BLOB = Descriptor("application/octet-stream", DIGEST, len(DATA))


@pytest.fixture(params=[True, False], ids=["referrers-api", "fallback-tag"])
def either(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    with serving(FakeRegistry(referrers=request.param)) as fake:
        yield fake


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with serving(FakeRegistry()) as running:
        yield running


@pytest.fixture(scope="module")
def lasting() -> Iterator[FakeRegistry]:
    """One for all examples of a property."""
    with serving(FakeRegistry()) as running:
        yield running


def repository(fake: FakeRegistry, credentials: Credentials | None = None) -> Repository:
    return Repository(Reference.parse(f"{fake.host}/team/app"), credentials=credentials, pause=0.001)


def send(there: Repository, data: bytes = DATA) -> bool:
    return there.upload(digest_of(data), io.BytesIO(data), len(data))


# ---- references


@pytest.mark.parametrize(
    ("text", "host", "path", "wanted"),
    [
        ("registry.example/app", "registry.example", "app", "latest"),
        ("registry.example:5000/team/app:1.0-cuda13.2", "registry.example:5000", "team/app", "1.0-cuda13.2"),
        (f"localhost/app:x@{DIGEST}", "localhost", "app", DIGEST),
        ("[::1]:5000/app", "[::1]:5000", "app", "latest"),
    ],
)
def test_references(text: str, host: str, path: str, wanted: str) -> None:
    found = Reference.parse(text)
    assert (found.host, found.path, found.wanted) == (host, path, wanted)


@pytest.mark.parametrize(
    "text",
    ["", "app", "team/app", "r.example/", "r.example/App", "r.example/a:", "r.example/a:-", "r.example/a@",
     "r.example/a@sha256:12",  "https://r.example/a", "r.example/a/../b", "user@r.example/a", "r.example/a b",
     "a.b/c:d/e"],
)  # fmt: skip
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(UsageError):
        Reference.parse(text)


@given(st.text())
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        found = Reference.parse(text)
    except UsageError:
        return
    assert Reference.parse(str(found)).wanted == found.wanted


@pytest.mark.parametrize(
    ("netloc", "so"),
    [("localhost:5000", True), ("127.0.0.1", True), ("127.9.9.9:1", True), ("[::1]:5000", True),
     ("127.0.0.1.example", False),
     ("10.0.0.1:5000", False), ("registry.example", False), ("localhost.example:80", False)],
)  # fmt: skip
def test_plain_http_is_for_loopback_only(netloc: str, so: bool) -> None:
    there = Repository(Reference(netloc, "app"))
    assert there.home.scheme == ("http" if so else "https")
    assert Repository(Reference(netloc, "app"), plain_http=True).home.scheme == "http"


# ---- reading


def test_a_blob_goes_there_and_comes_back(fake: FakeRegistry) -> None:
    with repository(fake) as there:
        assert send(there)
        assert there.sent == len(DATA)
        assert there.blob(BLOB, 2**21) == DATA
        assert b"".join(there.stream(BLOB)) == DATA
        assert there.size(DIGEST) == len(DATA)
        assert there.size(digest_of(b"")) is None


def test_what_is_there_is_not_sent_again(fake: FakeRegistry) -> None:
    with repository(fake) as there:
        send(there)
        before = list(fake.written())
        assert not send(there)
        assert there.sent == len(DATA)
        assert fake.written() == before


def test_a_layer_of_another_repository_is_mounted(fake: FakeRegistry) -> None:
    fake.blobs["team/other", DIGEST] = DATA
    with repository(fake) as there:
        assert there.mount(DIGEST, "team/other")
        assert not there.mount(digest_of(b"absent"), "team/other")
        assert not there.mount(DIGEST, "team/app")
        assert there.sent == 0
        assert there.size(DIGEST) == len(DATA)


def test_nothing_of_that_name(fake: FakeRegistry) -> None:
    with repository(fake) as there:
        assert there.digest("latest") is None
        with pytest.raises(NotThere, match="no such thing"):
            there.manifest()


@pytest.mark.parametrize(
    "changed", [DATA[:-1], DATA + b"x", DATA[:-1] + b"x", b""], ids=["short", "long", "other", "none"]
)
def test_a_changed_blob_is_named(fake: FakeRegistry, changed: bytes) -> None:
    fake.blobs["team/app", DIGEST] = changed
    with repository(fake) as there:
        with pytest.raises(VerificationFailed, match=r"truncated or changed|more than"):
            there.blob(BLOB, len(DATA))
        with pytest.raises(VerificationFailed, match="truncated or changed"):
            list(there.stream(BLOB))


def test_a_blob_that_breaks_off(fake: FakeRegistry) -> None:
    fake.always("GET", "/blobs/", Answer(200, {"Content_Length": str(len(DATA))}, DATA[:1000], keep=0))
    with repository(fake) as there:
        with pytest.raises(RegistryFailed, match="broke off"):
            there.blob(BLOB, 2**21)
        with pytest.raises(RegistryFailed, match="broke off"):
            list(there.stream(BLOB))


def test_what_is_too_large_is_not_read(fake: FakeRegistry) -> None:
    fake.blobs["team/app", DIGEST] = DATA
    fake.manifests["team/app", "latest"] = (OCI_MANIFEST, b" " * 5 * 2**20)
    with repository(fake) as there:
        with pytest.raises(VerificationFailed, match="at most 10 are read"):
            there.blob(BLOB, 10)
        with pytest.raises(VerificationFailed, match="more than"):
            there.manifest()


def test_a_manifest_under_another_digest(fake: FakeRegistry) -> None:
    fake.manifests["team/app", DIGEST] = (OCI_MANIFEST, b"{}")
    with repository(fake) as there, pytest.raises(VerificationFailed, match="other content"):
        there.manifest(DIGEST)


@pytest.mark.parametrize("depth", [100_000, 1_000_000])
def test_a_deeply_nested_manifest(depth: int) -> None:
    for text in (b"[" * depth, b'{"layers":' * depth, b'{"x":' + b"[" * depth + b"]" * depth + b"}"):
        with pytest.raises(VerificationFailed, match="malformed"):
            Manifest(text, OCI_MANIFEST).image()


@given(
    st.binary()
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda one: json.dumps(one).encode())
)
def test_no_bytes_make_a_manifest_crash(data: bytes) -> None:
    with pytest.raises(VerificationFailed):
        Manifest(data, OCI_MANIFEST).image()


def test_an_index_is_none_of_ours() -> None:
    with pytest.raises(VerificationFailed, match="index"):
        Manifest(b"{}", OCI_INDEX).image()


def test_failures_of_the_moment_are_asked_again(fake: FakeRegistry) -> None:
    fake.blobs["team/app", DIGEST] = DATA
    fake.once(
        "GET", "/blobs/", Answer(500), Answer(429, {"Retry-After": "0"}), Answer(drop=True), Answer(503), Answer(502)
    )
    with repository(fake) as there:
        assert there.blob(BLOB, 2**21) == DATA


@pytest.mark.parametrize("status", [429, 500, 503])
def test_failures_that_stay_end_within_bounds(fake: FakeRegistry, status: int) -> None:
    fake.always("GET", "/manifests/", Answer(status))
    with repository(fake) as there, pytest.raises(RegistryFailed, match=str(status)):
        there.manifest()
    assert len(fake.log) == ATTEMPTS


def test_no_registry_at_all() -> None:
    with (
        Repository(Reference.parse("127.0.0.1:9/app"), pause=0.001) as there,
        pytest.raises(RegistryFailed, match="does not answer"),
    ):
        there.manifest()


@settings(max_examples=50, deadline=None)
@given(answer=st.binary(min_size=1, max_size=300), media_type=st.sampled_from([OCI_MANIFEST, OCI_INDEX, "text/html"]))
def test_no_answer_makes_a_traceback(lasting: FakeRegistry, answer: bytes, media_type: str) -> None:
    lasting.hook = lambda method, path: Answer(200, {"Content-Type": media_type}, answer)
    with repository(lasting) as there:
        for ask in (
            lambda: there.manifest().image(),
            lambda: there.referrers(DIGEST),
            lambda: there.blob(BLOB, 2**21),
            lambda: send(there),
        ):
            with pytest.raises(AssayError):
                ask()


# ---- redirects and credentials


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


def test_pages_without_end(fake: FakeRegistry) -> None:
    fake.always("GET", "/referrers/", Answer(200, {"Link": '<?page=2>; rel="next"'}, b'{"manifests": []}'))
    with repository(fake) as there, pytest.raises(RegistryFailed, match="pages"):
        there.referrers(DIGEST)


def challenged(fake: FakeRegistry, challenge: str, accepted: str) -> None:
    def hook(method: str, path: str) -> Answer | None:
        said = fake.headers[-1].get("Authorization")
        if path.startswith("/token"):
            basic = Credentials("me", "secret").basic()
            return Answer(200, body=b'{"token": "abc"}') if said == basic else Answer(401)
        return None if said == accepted else Answer(401, {"WWW-Authenticate": challenge})

    fake.hook = hook


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


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


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


def test_tls_with_a_private_ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other name than loopback's is spoken to over TLS, and its certificate has to be one that is trusted."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("registry.test").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    looked_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **named: looked_up(host.replace("registry.test", "127.0.0.1"), *rest, **named),
    )
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving(FakeRegistry(), tls) as fake:
        reference = Reference.parse(fake.host.replace("127.0.0.1", "registry.test") + "/team/app")
        with (
            Repository(reference, pause=0.001) as there,
            pytest.raises(RegistryFailed, match="certificate verify failed"),
        ):
            send(there)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with Repository(reference, pause=0.001) as there:
            assert send(there)
            assert there.blob(BLOB, 2**21) == DATA


# ---- uploads that break off


@pytest.mark.parametrize(
    "trouble",
    [
        [Answer(drop=True, keep=300_000)],
        [Answer(drop=True, keep=0)],
        [Answer(drop=True, keep=300_000), Answer(drop=True, keep=300_000), Answer(drop=True, keep=300_000)],
        [Answer(500), Answer(429)],
    ],
    ids=["kept-a-part", "kept-nothing", "again-and-again", "refused"],
)
def test_an_upload_goes_on(fake: FakeRegistry, trouble: list[Answer]) -> None:
    fake.once("PATCH", "/uploads/", *trouble)
    with repository(fake) as there:
        assert send(there)
        assert there.blob(BLOB, 2**21) == DATA


def test_only_what_is_missing_is_sent_again(fake: FakeRegistry) -> None:
    fake.once("PATCH", "/uploads/", Answer(drop=True, keep=len(DATA)))
    with repository(fake) as there:
        assert send(there)
    assert [method for method, _ in fake.log].count("PATCH") == 1


def test_a_registry_that_forgot_the_upload(fake: FakeRegistry) -> None:
    def hook(method: str, path: str) -> Answer | None:
        if method == "PATCH" and "u0" in path:
            fake.uploads.pop("u0", None)
            fake.uploads["u-1"] = b""
            return Answer(500)
        return None

    fake.hook = hook
    with repository(fake) as there:
        assert send(there)


def test_an_upload_that_never_works_ends(fake: FakeRegistry) -> None:
    fake.always("PATCH", "/uploads/", Answer(500))
    with repository(fake) as there, pytest.raises(RegistryFailed, match="in 6 attempts"):
        send(there)
    assert not fake.blobs


def test_content_that_is_not_its_digest_is_refused(fake: FakeRegistry) -> None:
    with repository(fake) as there, pytest.raises(RegistryFailed, match="other content"):
        there.upload(DIGEST, io.BytesIO(b"x" * len(DATA)), len(DATA))


# ---- attachments


def test_attachments_are_listed(either: FakeRegistry) -> None:
    with repository(either) as there:
        empty = there.ensure_empty()
        image = ImageManifest(config=empty, layers=())
        data = msgspec.json.encode(image)
        there.put_manifest(data, OCI_MANIFEST)
        subject = Descriptor(OCI_MANIFEST, digest_of(data), len(data))
        assert there.referrers(subject.digest) == ()
        made = [
            ImageManifest(
                config=empty, layers=(empty,), artifact_type="text/x", subject=subject, annotations={"n": str(n)}
            )
            for n in range(3)
        ]
        assert [there.attach(one) for one in made] == [True, True, True]
        before = there.sent
        assert [there.attach(one) for one in made] == [False, False, False]
        assert there.sent == before
        listed = there.referrers(subject.digest)
    assert [one.annotations for one in listed] == [{"n": str(n)} for n in range(3)]
    assert {one.artifact_type for one in listed} == {"text/x"}
    assert (("team/app", fallback_tag(subject.digest)) in either.manifests) is not either.referrers


def test_decode_names_what_is_malformed() -> None:
    with pytest.raises(VerificationFailed, match="the list is malformed"):
        decode(b'{"manifests": [{"digest": "sha256:xyz"}]}', Index, "the list")


def test_digests_are_sha256() -> None:
    assert digest_of(b"") == f"sha256:{hashlib.sha256(b'').hexdigest()}"
