"""`assay publish --keyless` against a private Sigstore of the tests, and what `assay verify` makes of it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay import engine
from assay.certificate import Suites
from tests import published, sigstores
from tests.fake_registry import FakeRegistry, serving
from tests.sigstores import IDENTITY, ISSUER, Sigstore
from tests.unit.cli.ran import Ran
from tests.unit.publish.known import ATTACHED, HOME, LocalEngine, certified, suite_of_it

OTHER = IDENTITY.replace("heads/main", "tags/v1")
PASSWORD = "a password"


class Local(LocalEngine):
    """The engine that `engine.find` gives, with the image in it."""

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *_: object) -> None:
        return


class Publisher:
    """A checkout with an image that may be published, a key, a registry and a Sigstore."""

    def __init__(self, fake: FakeRegistry, made: Sigstore, folder: Path, assay_: Callable[..., Ran]) -> None:
        self.fake, self.sigstore, self.folder, self.assay = fake, made, folder, assay_
        self.key = folder / "release"
        self.without = ("--keyless", "--trust-config", str(made.trust_config))

    @property
    def with_key(self) -> tuple[str, ...]:
        return ("--key", f"{self.key}.key")

    def token(self, identity: str = IDENTITY, lived: int = 0) -> tuple[str, ...]:
        return ("--identity-token", str(self.sigstore.token(identity, lived=lived)))

    def publish(self, *how: str) -> Ran:
        return self.assay("publish", "--registry", f"{self.fake.host}/team", *how, "--json", published.name())

    def attached(self, *how: str) -> int:
        """Publish, and say how many bundles were attached."""
        ran = self.publish(*how)
        assert ran.code == 0, ran.err
        (row,) = json.loads(ran.out)
        return int(row["attached"])

    def holds(self, *whose: str) -> bool:
        ran = self.assay("verify", f"{self.fake.host}/{HOME}:latest", *whose)
        assert ran.code in {0, 5}, ran.err
        return ran.code == 0

    def by(self, identity: str = IDENTITY) -> tuple[str, ...]:
        return ("--identity", identity, "--issuer", ISSUER, "--trust-root", str(self.sigstore.trust_root))


@pytest.fixture
def publisher(
    assay_: Callable[..., Ran], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Publisher]:
    folder, made = tmp_path / "checkout", published.fresh()
    folder.mkdir()
    certified(root, folder, made)
    (folder / "smoke").symlink_to(root / "smoke")
    (folder / "certificates").symlink_to(root / "certificates")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(engine, "find", lambda tell=None: Local(made))
    monkeypatch.setattr(Suites, "read", classmethod(lambda cls, path: Suites(suite_of_it())))
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE", "ASSAY_KEY", "ASSAY_IDENTITY_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASSAY_PASSWORD", PASSWORD)
    assert assay_("keygen", "--out", str(tmp_path / "release")).code == 0
    with serving(FakeRegistry()) as fake, sigstores.serving(Sigstore(tmp_path / "sigstore")) as services:
        made_ready = Publisher(fake, services, tmp_path, assay_)
        yield made_ready


def entries(publisher: Publisher) -> int:
    return publisher.sigstore.asked.count("/api/v1/log/entries")


def test_beside_a_key(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_PASSWORD", PASSWORD)
    ran = publisher.publish(*publisher.with_key, *publisher.without, *publisher.token())
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)[0]["attached"] == 2 * ATTACHED
    assert f"signing without a key, as {IDENTITY}, vouched for by {ISSUER}" in ran.err
    public = ("--key", f"{publisher.key}.pub")
    assert publisher.holds(*publisher.by(), *public)
    assert publisher.holds(*publisher.by())
    assert publisher.holds(*public)
    assert not publisher.holds(*publisher.by(OTHER), *public)


def test_without_a_key_and_again(publisher: Publisher) -> None:
    assert publisher.attached(*publisher.without, *publisher.token()) == ATTACHED
    assert entries(publisher) == ATTACHED
    before = publisher.fake.written()
    assert publisher.attached(*publisher.without, *publisher.token()) == 0
    assert entries(publisher) == ATTACHED, "nothing more is in the log"
    assert publisher.fake.written() == before
    assert publisher.attached(*publisher.without, *publisher.token(OTHER)) == ATTACHED
    assert publisher.holds(*publisher.by())
    assert publisher.holds(*publisher.by(OTHER))


def test_what_somebody_else_attached_does_not_stand_for_ours(publisher: Publisher, tmp_path: Path) -> None:
    """Signed under the same name, by a Sigstore that nobody here trusts."""
    with sigstores.serving(Sigstore(tmp_path / "theirs")) as theirs:
        token = ("--identity-token", str(theirs.token()))
        assert publisher.attached("--keyless", "--trust-config", str(theirs.trust_config), *token) == ATTACHED
    assert not publisher.holds(*publisher.by())
    assert publisher.attached(*publisher.without, *publisher.token()) == ATTACHED
    assert publisher.holds(*publisher.by())


def test_a_job_of_a_forge_is_given_its_token(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    refused = publisher.publish(*publisher.without)
    refused.refused(2, "the forge gives no identity token", "id-token: write")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"http://{publisher.sigstore.host}/job?api=1")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-job")
    assert publisher.attached(*publisher.without) == ATTACHED
    assert publisher.holds(*publisher.by())


def test_the_token_in_a_file_that_a_variable_names(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_IDENTITY_TOKEN", publisher.token()[1])
    assert publisher.attached(*publisher.without) == ATTACHED


def test_a_token_that_is_none_or_has_ended(publisher: Publisher) -> None:
    publisher.publish(*publisher.without).refused(2, "an identity token is wanted, and nothing here gives one")
    publisher.publish(*publisher.without, *publisher.token(lived=3600)).refused(2, "is no identity token of use here")
    text = publisher.folder / "text"
    text.write_text("no token, and a secret all the same")
    ran = publisher.publish(*publisher.without, "--identity-token", str(text))
    ran.refused(2, "is no identity token of use here")
    assert "a secret all the same" not in ran.err
    publisher.publish(*publisher.without, "--identity-token", str(text) + "s").refused(2, "cannot be read")
    assert not publisher.fake.manifests, "nothing was sent before it was known"


def test_a_token_that_the_authority_does_not_take(publisher: Publisher, tmp_path: Path) -> None:
    """Well formed, and signed by nobody that it knows."""
    other = Sigstore(tmp_path / "other").token()
    ran = publisher.publish(*publisher.without, "--identity-token", str(other))
    assert ran.code == 6
    assert "nothing was signed without a key" in ran.err
    assert other.read_text().strip() not in ran.err
    assert not publisher.fake.tag(HOME, "latest")


def test_a_log_that_fails_leaves_no_tag_and_is_gone_on_from(publisher: Publisher) -> None:
    publisher.sigstore.down = True
    ran = publisher.publish(*publisher.without, *publisher.token())
    assert ran.code == 6
    assert ran.err.splitlines()[-2].startswith(f"error: {published.name()}: nothing was signed without a key: ")
    assert not publisher.fake.tag(HOME, "latest")
    publisher.sigstore.down = False
    assert publisher.attached(*publisher.without, *publisher.token()) == ATTACHED
    assert publisher.holds(*publisher.by())


def test_a_signature_that_nobody_could_verify_is_not_attached(publisher: Publisher) -> None:
    publisher.sigstore.late = datetime.timedelta(minutes=20)
    ran = publisher.publish(*publisher.without, *publisher.token())
    assert ran.code == 5
    assert "its keyless signature does not hold" in ran.err
    assert not [one for _, one in publisher.fake.manifests.values() if b'"subject"' in one]


def test_something_has_to_sign(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish().refused(2, "nothing is published unsigned", "--key", "--keyless")
    publisher.publish(*publisher.with_key, "--trust-config", "x").refused(2, "--trust-config is of no use with a key")
    for text in ("", "{}", '{"mediaType": "x"}'):
        (tmp_path / "config").write_text(text)
        ran = publisher.publish("--keyless", "--trust-config", str(tmp_path / "config"), *publisher.token())
        ran.refused(2, "config is no trust config")


def test_without_a_network_the_public_services_cannot_be_had(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigstore.models.DEFAULT_TUF_URL", "http://127.0.0.1:1")
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    publisher.publish("--keyless", *publisher.token()).refused(
        6, "public services cannot be asked for", "--trust-config"
    )
