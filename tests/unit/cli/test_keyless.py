"""`assay verify` of what was signed without a key, by a private Sigstore of the tests.

What checks is the library, unmodified.
"""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import publish
from assay.attestation.bundle import payload_of
from assay.attestation.identity import Identity
from assay.attestation.keyless import Keyless
from assay.errors import VerificationFailed
from assay.registry import Repository
from tests import published, sigstores
from tests.fake_registry import FakeRegistry, serving
from tests.sigstores import IDENTITY, ISSUER, Sigstore
from tests.unit.cli.ran import Ran
from tests.unit.verify.known import JSON, attach_raw, bundles, paths_in, replaced

OTHER = IDENTITY.replace("main", "another")
NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sigstore]:
    with sigstores.serving(Sigstore(tmp_path_factory.mktemp("sigstore"))) as made:
        yield made


def keyless(sigstore: Sigstore, identity: str = IDENTITY) -> Keyless:
    return Keyless.configured(sigstore.trust_config, sigstore.token(identity))


def signed(sigstore: Sigstore, statement: dict[str, Any], identity: str = IDENTITY) -> bytes:
    """A bundle as the services give it, whether it verifies or not."""
    from sigstore.dsse import Statement

    signer = keyless(sigstore, identity).session().signer
    return signer.sign_dsse(Statement(payload_of(statement))).to_json().encode()


class Published:
    """An image in a registry that is signed with the key, and what asks whether it holds."""

    def __init__(self, fake: FakeRegistry, sigstore: Sigstore, folder: Path, assay_: Callable[..., Ran]) -> None:
        self.fake, self.sigstore, self.assay = fake, sigstore, assay_
        self.made, self.key = published.fresh(), folder / "key.pub"
        self.key.write_bytes(published.key().public.pem())
        published.put(fake.host, self.made)

    def sign(self, *statements: dict[str, Any], identity: str = IDENTITY) -> None:
        """Sign without a key too (nothing named: all that belongs to it)."""
        session = keyless(self.sigstore, identity).session()
        with Repository(published.reference(self.fake.host), pause=0.001) as there:
            for one in statements or self.made.statements():
                assert publish.attach(there, self.made.manifest, one, session)

    def attach(self, change: Callable[[dict[str, Any]], object] = lambda bundle: None) -> None:
        """Attach all that belongs to it, signed without a key; each bundle is changed first."""
        for one in self.made.statements():
            bundle = json.loads(signed(self.sigstore, one))
            change(bundle)
            attach_raw(self.fake, self.made.manifest, json.dumps(bundle).encode())

    def verify(self, *options: str) -> Ran:
        return self.assay("verify", str(published.reference(self.fake.host)), *options)

    def by(self, identity: str = IDENTITY, issuer: str = ISSUER, root: Path | None = None) -> tuple[str, ...]:
        root = root or self.sigstore.trust_root
        return ("--identity", identity, "--issuer", issuer, "--trust-root", str(root))

    @property
    def with_key(self) -> tuple[str, ...]:
        return ("--key", str(self.key))


@pytest.fixture
def there(assay_: Callable[..., Ran], sigstore: Sigstore, tmp_path: Path) -> Iterator[Published]:
    with serving(FakeRegistry()) as fake:
        yield Published(fake, sigstore, tmp_path, assay_)


def held(ran: Ran) -> list[str]:
    """What is said of an image that holds."""
    assert (ran.code, ran.err) == (0, ""), ran.out + ran.err
    lines = ran.out.splitlines()
    assert lines[-1] == f"  holds: {published.name()}, E2"
    assert not [line for line in lines if line.startswith(("  ignored", "  WRONG"))]
    return lines


def test_a_key_and_an_identity_beside_it_each_verify_alone_and_together(there: Published) -> None:
    there.sign()
    key = f"  with the key {published.key().public.hint[:12]}"
    whose = f"  by {IDENTITY} ({ISSUER})"
    lines = held(there.verify(*there.by()))
    assert whose in lines
    assert key not in lines
    lines = held(there.verify(*there.with_key))
    assert key in lines
    assert whose not in lines
    lines = held(there.verify(*there.by(), *there.with_key, "--layers"))
    assert key in lines
    assert whose in lines
    several = there.key.with_name("keys.toml")
    several.write_text(f'[[key]]\nname = "2026"\npem = """{there.key.read_text()}"""\n')
    assert "  with the key 2026" in held(there.verify("--key", str(several)))
    row = json.loads(there.verify(*there.by(), "--json").out)
    assert (row["keys"], row["identities"]) == ([], [f"{IDENTITY} ({ISSUER})"])


@pytest.mark.parametrize(("version", "stamps"), [(1, True), (2, True)])
def test_each_log_and_each_way_to_tell_the_time(
    assay_: Callable[..., Ran], tmp_path: Path, version: int, stamps: bool
) -> None:
    made = Sigstore(tmp_path / "sigstore", version, stamps)
    with serving(FakeRegistry()) as fake, sigstores.serving(made):
        there = Published(fake, made, tmp_path, assay_)
        there.sign(identity="someone@tests.example")
        assert made.asked.count("/time") == len(there.made.statements())
        held(there.verify(*there.by("someone@tests.example")))
        there.verify(*there.by()).refused(5, "it was signed by another identity: someone@tests.example")


def test_no_keyless_signature_at_all(there: Published) -> None:
    ran = there.verify(*there.by())
    ran.refused(5, "no certificate of this image is signed by this identity", "it was signed with a key, and by no")
    assert "--identity and --issuer" in ran.err
    assert ran.out == ""


def test_no_signature_of_a_key_at_all(there: Published, sigstore: Sigstore) -> None:
    for name in [name for name in there.fake.manifests if b'"subject"' in there.fake.manifests[name][1]]:
        del there.fake.manifests[name]
    there.sign()
    held(there.verify(*there.by()))
    there.verify(*there.with_key).refused(
        5, "is signed with this key", "it was signed by an identity, and with no key"
    )
    there.verify(*there.by(), *there.with_key).refused(5, "signed with this key and by this identity")


def test_where_both_are_asked_what_one_has_not_signed_is_no_evidence(there: Published) -> None:
    ran = there.verify(*there.by(), *there.with_key)
    ran.refused(5, "signed with this key and by this identity", "it was signed with a key, and by no identity")
    assert ran.out == ""
    first, *others = there.made.statements()
    there.sign(*others)
    ran = there.verify(*there.by(), *there.with_key)
    assert ran.code == 5
    assert "no certificate of this image is signed with this key and by this identity" in ran.err
    assert "it is signed with this key, and not by this identity" in ran.out + ran.err
    there.sign(first)
    held(there.verify(*there.by(), *there.with_key))


def test_another_identity_and_another_issuer(there: Published) -> None:
    there.sign()
    ran = there.verify(*there.by(OTHER))
    ran.refused(5, "by this identity", f"it was signed by another identity: {IDENTITY}")
    assert ran.out == ""
    ran = there.verify(*there.by(issuer="https://other.example"))
    ran.refused(5, "by an identity that https://other.example did not vouch for")
    assert ran.out == ""
    there.verify(*there.by(OTHER), *there.with_key).refused(5, "it was signed by another identity")
    there.sign(identity=OTHER)
    for identity in (OTHER, IDENTITY):
        assert f"  by {identity} ({ISSUER})" in there.verify(*there.by(identity)).out.splitlines()


def test_what_is_signed_about_another_digest(there: Published, sigstore: Sigstore) -> None:
    other = published.fresh((b"other content",))
    for one in other.statements():
        attach_raw(there.fake, there.made.manifest, signed(sigstore, one))
    there.verify(*there.by()).refused(5, f"another image (sha256:{other.digest[7:19]})")


@pytest.mark.parametrize("part", ["tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities", "none of it"])
def test_each_part_of_the_trust_root_counts(assay_: Callable[..., Ran], tmp_path: Path, part: str) -> None:
    """One that is another's refuses all: the log, the authority, the log of certificates, the time's authority."""
    made, other = Sigstore(tmp_path / "sigstore", 2, stamps=True), Sigstore(tmp_path / "other")
    with serving(FakeRegistry()) as fake, sigstores.serving(made):
        there = Published(fake, made, tmp_path, assay_)
        there.sign()
        root = tmp_path / "mixed.json"
        root.write_text(json.dumps(json.loads(made.trust_root.read_text()) | theirs(other, part)))
        ran = there.verify(*there.by(root=root))
        if part == "none of it":
            held(ran)
        else:
            ran.refused(5, "its keyless signature does not hold")


def theirs(other: Sigstore, part: str) -> dict[str, Any]:
    """A part of another's trust root."""
    return {name: value for name, value in json.loads(other.trust_root.read_text()).items() if name == part}


def test_a_certificate_that_had_ended(assay_: Callable[..., Ran], tmp_path: Path) -> None:
    """The log took it twenty minutes later, and no authority stamped it before."""
    made = Sigstore(tmp_path / "sigstore", late=datetime.timedelta(minutes=20))
    with serving(FakeRegistry()) as fake, sigstores.serving(made):
        there = Published(fake, made, tmp_path, assay_)
        there.attach()
        there.verify(*there.by()).refused(5, "its keyless signature does not hold")
        with pytest.raises(VerificationFailed, match="does not hold"):  # and whoever publishes is told
            there.sign()


def test_nobody_vouches_for_the_time(assay_: Callable[..., Ran], tmp_path: Path) -> None:
    with serving(FakeRegistry()) as fake, sigstores.serving(Sigstore(tmp_path / "s", 2, stamps=True)) as made:
        there = Published(fake, made, tmp_path, assay_)
        there.attach(lambda bundle: bundle["verificationMaterial"].pop("timestampVerificationData"))
        there.verify(*there.by()).refused(5, "must contain an inclusion promise or signed timestamp")


def entry(bundle: dict[str, Any]) -> Any:
    return bundle["verificationMaterial"]["tlogEntries"][0]


def proof(bundle: dict[str, Any]) -> Any:
    return entry(bundle)["inclusionProof"]


def later(bundle: dict[str, Any]) -> str:
    return str(int(entry(bundle)["integratedTime"]) + 9)


CUTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no entry": (
        lambda bundle: bundle["verificationMaterial"].update(tlogEntries=[]),
        "expected exactly one log entry",
    ),
    "no proof": (lambda bundle: entry(bundle).pop("inclusionProof"), "does not hold"),
    "no head": (lambda bundle: proof(bundle).pop("checkpoint"), "with checkpoint"),
    "no promise": (lambda bundle: entry(bundle).pop("inclusionPromise"), "inclusion promise or signed timestamp"),
    "a shorter proof": (lambda bundle: proof(bundle)["hashes"].pop(), "wrong size"),
    "another root": (lambda bundle: proof(bundle).update(rootHash="AAAA" * 10 + "AAA="), "invalid root hash"),
    "another index": (lambda bundle: entry(bundle).update(logIndex="7"), "invalid inclusion promise"),
    "another time": (lambda bundle: entry(bundle).update(integratedTime=later(bundle)), "invalid inclusion promise"),
    "no certificate": (lambda bundle: bundle["verificationMaterial"].pop("certificate"), "does not hold"),
    "no signature": (lambda bundle: bundle["dsseEnvelope"].update(signatures=[]), "does not hold"),
    "another payload": (lambda bundle: bundle["dsseEnvelope"].update(payload="e30="), "invalid signature"),
    "another type": (lambda bundle: bundle["dsseEnvelope"].update(payloadType="text/plain"), "invalid signature"),
}


@pytest.mark.parametrize("name", CUTS)
def test_a_bundle_that_was_cut_or_edited(there: Published, name: str) -> None:
    change, words = CUTS[name]
    there.attach(change)
    there.verify(*there.by()).refused(5, words)


def test_the_entry_of_another_statement(there: Published, sigstore: Sigstore) -> None:
    """Whole in itself, and about something else that the same identity signed."""
    other = json.loads(signed(sigstore, there.made.statements()[0] | {"predicate": {}}))
    there.attach(lambda bundle: bundle["verificationMaterial"].update(tlogEntries=[entry(other)]))
    there.verify(*there.by()).refused(5, "log entry payload hash does not match bundle")


@pytest.fixture(scope="module")
def whole(sigstore: Sigstore) -> tuple[Identity, dict[str, Any], bytes]:
    """A bundle, and what it holds."""
    identity = Identity.trusted(IDENTITY, ISSUER, sigstore.trust_root)
    bundle = signed(sigstore, published.fresh().statements()[1])
    return identity, json.loads(bundle), identity.opened(bundle, NOW).payload


@settings(max_examples=200)
@given(data=st.data())
def test_whatever_is_replaced_in_a_bundle_nothing_else_is_opened(
    whole: tuple[Identity, dict[str, Any], bytes], data: st.DataObject
) -> None:
    identity, bundle, payload = whole
    path = data.draw(st.sampled_from([path for path in paths_in(bundle) if path]))
    changed = replaced(json.loads(json.dumps(bundle)), path, data.draw(JSON))
    try:
        assert identity.opened(json.dumps(changed).encode(), NOW).payload == payload
    except VerificationFailed as error:
        assert error.what  # noqa: PT017 - whatever else is raised fails


def test_who_is_asked_for_has_to_be_said_whole(there: Published) -> None:
    there.verify().refused(2, "whose signatures count is not said", "--identity and --issuer")
    there.verify("--identity", IDENTITY).refused(2, "only with the issuer", "--identity NAME --issuer URL")
    there.verify("--issuer", ISSUER, *there.with_key).refused(2, "only with the issuer")
    there.verify("--identity", "", "--issuer", ISSUER).refused(2, "is empty")
    there.verify(*there.with_key, "--trust-root", str(there.key)).refused(2, "--trust-root is of no use with a key")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"mediaType": "x"}', "\0"])
def test_a_file_that_is_no_trust_root(there: Published, tmp_path: Path, text: str) -> None:
    there.sign()
    root = tmp_path / "root.json"
    root.write_text(text)
    there.verify(*there.by(root=root)).refused(2, "root.json is no trust root of Sigstore")
    there.verify(*there.by(root=tmp_path / "absent.json")).refused(2, "absent.json cannot be read")


@pytest.mark.parametrize(("part", "code"), [("tlogs", 2), ("certificateAuthorities", 2), ("ctlogs", 5)])
def test_a_trust_root_that_lacks_a_part_trusts_nobody(there: Published, tmp_path: Path, part: str, code: int) -> None:
    there.sign()
    root = tmp_path / "root.json"
    root.write_text(json.dumps(json.loads(there.sigstore.trust_root.read_text()) | {part: []}))
    there.verify(*there.by(root=root)).refused(code)


def test_without_a_network_the_public_root_cannot_be_had(
    there: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigstore.models.DEFAULT_TUF_URL", "http://127.0.0.1:1")
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    ran = there.verify("--identity", IDENTITY, "--issuer", ISSUER)
    ran.refused(6, "the public trust root of Sigstore cannot be brought up to date", "--trust-root FILE")


def test_without_the_library_it_says_what_to_install(there: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = ("assay.attestation.identity", "assay.attestation.keyless")
    for name in [name for name in sys.modules if name.partition(".")[0] == "sigstore" or name in loaded]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sigstore", None)
    there.verify(*there.by()).refused(2, "sigstore is not installed", "pip install 'assay[keyless]'")
    held(there.verify(*there.with_key))


def test_a_bundle_of_an_identity_is_one_that_other_tools_find(there: Published) -> None:
    """The same type and annotations as beside a key."""
    there.sign()
    found = [json.loads(data) for _, data in there.fake.manifests.values() if b'"subject"' in data]
    assert len({json.dumps(one) for one in found}) == 2 * len(there.made.statements())
    told = [(one["artifactType"], one["annotations"]["dev.sigstore.bundle.predicateType"]) for one in found]
    assert sorted(told) == sorted(2 * list(set(told)))
    keyless = [one for one in bundles(there.fake).values() if "tlogEntries" in one["verificationMaterial"]]
    assert len(keyless) == len(there.made.statements())
