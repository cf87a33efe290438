"""Keys that follow each other: which of them signed, and why one counts for nothing."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import verify
from assay.attestation import Keyring, read_keys
from assay.errors import UsageError
from assay.verify import Demands, Verification
from tests import published
from tests.fake_registry import FakeRegistry, serving
from tests.published import NOW

TODAY = NOW.date()
YESTERDAY = TODAY - datetime.timedelta(days=1)
MADE = datetime.date.fromisoformat(published.evidence()["predicate"]["timeCreated"][:10])


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """An image that was signed with the second key."""
    fake, second = FakeRegistry(), published.key(2)
    with serving(fake):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(published, "key", lambda: second)
            published.put(fake.host, published.image())
        yield fake.host


def table(number: int, **dates: object) -> str:
    rows = "".join(f"{name} = {value}\n" for name, value in dates.items())
    return f'[[key]]\nname = "key-{number}"\npem = """\n{published.key(number).public.pem().decode()}"""\n{rows}'


Ring = Callable[..., Verification]


@pytest.fixture
def ask(host: str, tmp_path: Path) -> Ring:
    def verified(*tables: str) -> Verification:
        path = tmp_path / "assay-keys.toml"
        path.write_text("\n".join(tables))
        return verify.verify(
            published.reference(host), read_keys(path), published.suites(), Demands(max_age_days=None), NOW
        )

    return verified


def test_of_several_keys_it_is_said_which_signed(ask: Ring) -> None:
    found = ask(table(1, until=MADE), table(2, **{"from": MADE}), table(3))
    assert found.passed, found.problems
    assert found.keys == ["key-2"]
    assert verify.row(found)["keys"] == ["key-2"]


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        (
            {"revoked": YESTERDAY, "why": '"the laptop was stolen"'},
            f"key-2, which was revoked on {YESTERDAY}: the laptop",
        ),
        ({"revoked": TODAY}, f"key-2, which was revoked on {TODAY}"),
        ({"from": TODAY + datetime.timedelta(days=1)}, "key-2, which signs from 2026-12-02 on only"),
    ],
)
def test_a_key_that_may_not_sign_counts_for_nothing(ask: Ring, dates: dict[str, object], words: str) -> None:
    found = ask(table(1), table(2, **dates))
    assert not found.passed
    assert found.level == "E0"
    assert words in found.problems[0]


def test_a_key_that_is_revoked_tomorrow_counts_today(ask: Ring) -> None:
    assert ask(table(2, revoked=TODAY + datetime.timedelta(days=1))).passed


def test_a_certificate_dated_after_the_last_day_of_its_key_is_none(ask: Ring) -> None:
    assert ask(table(2, until=MADE)).passed
    found = ask(table(2, until=MADE - datetime.timedelta(days=1)))
    assert not found.passed
    assert any(f"it is dated {MADE}, and the key key-2" in text for text in found.ignored)


def test_with_none_of_the_keys_it_is_unsigned(ask: Ring) -> None:
    found = ask(table(1), table(3))
    assert found.unsigned
    assert "signed with none of these keys" in found.problems[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "missing required field `key`"),
        ("key = 1", "Expected `array`"),
        (table(1) + table(1), "one name twice: key-1"),
        (table(1) + table(1).replace("key-1", "other"), "one key twice"),
        (table(1, until='"soon"'), "Expected `date | null`"),
        (table(1, revokd=TODAY), "unknown field `revokd`"),
        ('[[key]]\nname = "a"\npem = "b"', "the key a is no public key in PEM"),
    ],
)
def test_a_file_of_keys_that_is_none_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_keys(path)
    assert words in refused.value.what


@given(st.binary(max_size=200))
def test_whatever_stands_in_the_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError):
        Keyring.read(path)
