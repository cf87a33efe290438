"""The address that is judged is the one that is connected to."""

from __future__ import annotations

import io

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from assay.errors import RegistryFailed, UsageError
from assay.registry import Credentials, Reference, Repository, address
from assay.registry.address import Address
from assay.registry.token import is_its_own
from tests.fake_registry import Answer, FakeRegistry, serving

HOME = "registry.example"


def known(text: str) -> Address:
    found = address.parse(text)
    assert found is not None
    return found


def connects_to(text: str) -> tuple[str | None, str | None, int | None]:
    """Where requests and urllib3 go with an address: scheme, host and port of the connections that they choose."""
    session = requests.Session()
    try:
        prepared = session.prepare_request(requests.Request("GET", text, params={"scope": "x"}))
        adapter = session.get_adapter(str(prepared.url))
        assert isinstance(adapter, HTTPAdapter)
        pool = adapter.get_connection_with_tls_context(prepared, True)
    except (requests.RequestException, ValueError):
        return None, None, None
    host = str(pool.host)
    return pool.scheme, f"[{host}]" if ":" in host else host, pool.port


PARTS = [
    *("https://", "http://", "HTTPS://", "https:", "//", "///", "/", "\\", "@", ":", "#", "?", ".", "..", ";", "%"),
    *(HOME, "evil.test", "auth.registry.example", "127.0.0.1", "127.1", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"),
    *("[", "]", "localhost", "10.0.0.1", "@evil.test", "443", "80", "5000", "0443", "\u0664\u0663", "P", "user"),
    *("%40", "%5c", "%2f", "%00", "%2e", "%0d%0a", "\t", "\n", "\r", " ", "\0", "\x0b", "\x7f", "\x85", "\xa0"),
    *("\u3002", "\uff0e", "\u2024", "\xdf", "\u211d", "\uff20", "\uff1f", "\uff03", "\uff0f"),  # what NFKC changes
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PARTS) | st.characters(), max_size=9).map("".join)
ADDRESSES = TEXTS | TEXTS.map("https://{}".format) | TEXTS.map(f"https://{HOME}{{}}".format)


@given(ADDRESSES)
@example(f"https://evil.test:443\\@{HOME}/token")
@example(f"https://evil.test\\.{HOME}/token")
@example(f"https://evil.test#@{HOME}/")
@example(f"https://evil.test?@{HOME}/")
@example(f"https://{HOME}\t.evil.test/")
@example(f"https://user@{HOME}/")
@example(f"https://{HOME}:443@evil.test/")
@example(f"\thttps://{HOME}/")
@example("https://[::1]:5000/")
def test_what_is_judged_is_what_is_connected_to(text: str) -> None:
    found = address.parse(text)
    if found is not None:
        assert connects_to(found.text) == (found.scheme, found.host, found.port)


@given(ADDRESSES)
@example("\\\\evil.test/x")
@example("/\\evil.test/x")
@example("//evil.test/x")
@example("\t//evil.test/x")
def test_so_is_what_a_location_is_joined_to(text: str) -> None:
    found = address.joined(known(f"https://{HOME}/v2/app/"), text)
    if found is not None:
        assert connects_to(found.text) == (found.scheme, found.host, found.port)


@given(ADDRESSES, st.sampled_from([HOME, f"{HOME}:5000", "127.0.0.1:5000", "[::1]:5000", "localhost", "10.0.0.1"]))
def test_no_address_of_its_own_leads_to_another_host(text: str, host: str) -> None:
    there = Repository(Reference.parse(f"{host}/team/app"), credentials=Credentials("me", "secret"))
    home = known(f"{there.home.text}/v2/team/app")
    texts = (text, f"http://{host}{text}", f"https://{host}{text}")
    for found in (*map(address.parse, texts), address.joined(home, text)):
        if found is not None and there.is_home(found):
            assert connects_to(found.text) == connects_to(home.text)
        if found is not None and is_its_own(found, there.home):
            scheme, name, _ = connects_to(found.text)
            same = str(name).split(".")[-2:] == home.host.split(".")[-2:]
            loopback = home.is_loopback and known(f"http://{name}").is_loopback
            assert (scheme == "https" and same) or loopback


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://registry.example", "https://registry.example"),
        ("HTTPS://Registry.Example:443/token?a=b#c", "https://registry.example"),
        ("http://registry.example:80/", "http://registry.example"),
        ("http://registry.example:443/", "http://registry.example:443"),
        ("https://bucket_1.s3.example/x%2Fy?sig=a%2Bb", "https://bucket_1.s3.example"),
        ("https://[2001:DB8::1]:5000/x", "https://[2001:db8::1]:5000"),
        ("https://10.0.0.1/x", "https://10.0.0.1"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example"),
    ],
)
def test_addresses(text: str, origin: str) -> None:
    assert known(text).origin == origin


@pytest.mark.parametrize(
    "text",
    [
        *("", "registry.example", "//registry.example/", "ftp://registry.example/", "file:///etc/passwd", "https://"),
        *("https:registry.example", "https:///x", "https://:443/", "https://registry.example:0/", "https://r.example:/"),
        *("https://registry.example:65536/", "https://registry.example:0443/", "https://registry.example:P/"),
        *("https://me@registry.example/", "https://@registry.example/", "https://me:secret@registry.example/"),
        *("https://evil.test:443\\@registry.example/", "https://registry.example\\x", "https://registry.example/\\x"),
        *("https://registry.example /", " https://registry.example/", "https://registry.example/\n", "https://r.\0e/"),
        *("https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://1.2.3.4.5/"),
        *("https://127.0.0.0x1/", "https://[::1%25lo]/", "https://[::1/", "https://::1/", "https://[127.0.0.1]/"),
        *("https://registry.example./", "https://.registry.example/", "https://registry..example/", "https://*.example/"),
        *("https://registry%2eexample/", "https://registry\u3002example/", "https://b\u00fccher.example/", "https://-/"),
        "https://registry.example/" + "x" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    assert address.parse(text) is None


@pytest.mark.parametrize(
    ("home", "there", "so"),
    [
        ("https://registry.example", "https://store.example/x", True),
        ("https://registry.example", "http://store.example/x", False),
        ("https://registry.example", "https://8.8.8.8/x", True),
        ("https://registry.example", "https://localhost/x", False),
        ("https://registry.example", "https://x.localhost/x", False),
        ("https://registry.example", "https://127.0.0.1/x", False),
        ("https://registry.example", "https://127.9.9.9/x", False),
        ("https://registry.example", "https://[::1]/x", False),
        ("https://registry.example", "https://[::ffff:127.0.0.1]/x", False),
        ("https://registry.example", "https://[::ffff:10.0.0.1]/x", False),
        ("https://registry.example", "https://0.0.0.0/x", False),
        ("https://registry.example", "https://[::]/x", False),
        ("https://registry.example", "https://169.254.169.254/latest", False),
        ("https://registry.example", "https://[fe80::1]/x", False),
        ("https://registry.example", "https://10.0.0.1/x", False),
        ("https://registry.example", "https://192.168.1.1/x", False),
        ("https://10.0.0.2", "https://10.0.0.1/x", True),
        ("https://10.0.0.2", "https://169.254.169.254/x", False),
        ("https://10.0.0.2", "https://127.0.0.1/x", False),
        ("https://10.0.0.2", "https://[::ffff:169.254.169.254]/x", False),
        ("https://10.0.0.2", "https://[::ffff:127.0.0.1]/x", False),
        ("https://registry.example", "https://[::ffff:8.8.8.8]/x", True),
        ("http://127.0.0.1:5000", "https://127.0.0.1:6000/x", False),
    ],
)
def test_where_blobs_may_lie(home: str, there: str, so: bool) -> None:
    assert known(home).may_be_sent_to(known(there)) is so


@pytest.mark.parametrize("host", ["127.1:5000", "registry.example:99999", "registry.example:0", "0x7f.1:80"])
def test_a_reference_to_a_host_that_can_be_read_in_two_ways(host: str) -> None:
    with pytest.raises(UsageError, match="no reference"):
        Reference.parse(f"{host}/team/app")


def test_a_password_does_not_follow_a_backslash() -> None:
    """What was found: one parser took the registry for the host, and the one that connects another."""
    with serving(FakeRegistry()) as home, serving(FakeRegistry()) as evil:
        realm = f"http://{evil.host}\\@{home.host}/token"
        home.always("HEAD", "/blobs/", Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'}))
        with (
            Repository(Reference.parse(f"{home.host}/app"), credentials=Credentials("me", "secret")) as there,
            pytest.raises(RegistryFailed, match="to what is no address, which is not its own"),
        ):
            there.size(f"sha256:{'0' * 64}")
        assert evil.log == []


@pytest.mark.parametrize(
    "said", ["/v2/\x1b[2Jx", "https://evil.test/\x1bc", "https://evil.test:1\x9b@x/", "//evil\\.test"]
)
def test_an_address_is_shown_without_what_steers_a_terminal(said: str) -> None:
    with serving(FakeRegistry()) as home:
        home.always("POST", "/uploads/", Answer(202, {"Location": said}))
        with (
            Repository(Reference.parse(f"{home.host}/app")) as there,
            pytest.raises(RegistryFailed) as caught,
        ):
            there.upload(f"sha256:{'0' * 64}", io.BytesIO(b""), 0)
        assert str(caught.value).replace("\n", "").isprintable()
