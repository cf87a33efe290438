"""Publishing to a real registry, and what cosign, the engine and an installed `assay` make of it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from assay import attestation, certificate, engine
from tests import published
from tests.fake_registry import FakeRegistry, serving
from tests.integration.conftest import ASSAY, PASSWORD, Newcomer, assay, publish
from tests.registries import Registry

pytestmark = pytest.mark.engine


def verify(site: Path, reference: str, key: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`assay verify` of the installed wheel, in a folder with nothing in it."""
    program = "import sys; from assay.cli import main; sys.argv[0] = 'assay'; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "verify", reference, "--key", str(key), "--json", *options],
        cwd=key.parent,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def cosign(programs: Path, reference: str, key: Path, kind: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The real cosign, kept from the network by a trusted root of its own: a key needs none."""
    root = folder / "root.json"
    root.write_text('{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}')
    argv = [str(programs / "cosign"), "verify-attestation", "--key", str(key), "--type", kind, "--new-bundle-format"]
    argv += ["--insecure-ignore-tlog", "--trusted-root", str(root), reference]
    environment = {**os.environ, "HOME": str(folder)}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_what_is_published(
    certified: Newcomer,
    registry: Registry,
    key: Path,
    programs: Path,
    installed: Path,
    running: engine.Engine,
    tmp_path: Path,
) -> None:
    (first,) = publish(certified, registry, key)
    digest = certified.built.digest
    reference = f"{registry.host}/team/newcomer"
    assert first["reference"] == f"{reference}@{digest}"
    assert first["attached"] == 4
    assert registry.tags("team/newcomer")[:2] == sorted(first["tags"])  # type: ignore[call-overload]
    assert f"sha256-{digest[7:]}" in registry.tags("team/newcomer"), "this registry has no referrers API"

    (again,) = publish(certified, registry, key)
    assert (again["bytes_sent"], again["attached"]) == (0, 0)

    public, other = key.with_suffix(".pub"), key.with_name("other.pub")
    kinds = (certificate.PREDICATE_TYPE, attestation.PROVENANCE, attestation.SBOM, attestation.TEST_RESULT)
    for kind in kinds:
        seen = cosign(programs, f"{reference}:latest", public, kind, tmp_path)
        assert seen.returncode == 0, seen.stderr
    assert cosign(programs, f"{reference}:latest", other, kinds[0], tmp_path).returncode != 0

    done = verify(installed, f"{reference}:{first['tags'][0]}", public, "--layers")  # type: ignore[index]
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["level"] == "E2"
    wrong = verify(installed, f"{reference}:latest", other)
    assert wrong.returncode == 5
    assert "signed with another key" in wrong.stderr
    assert verify(installed, f"{reference}:latest", public, "--require", "E3").returncode == 5
    assert verify(installed, f"{registry.host}/team/absent", public).returncode == 6

    stored = registry.storage / "blobs/sha256"
    layer = certified.built.layers[0][0].removeprefix("sha256:")
    with (stored / layer[:2] / layer / "data").open("r+b") as blob:
        blob.seek(1000)
        blob.write(b"changed")
    assert verify(installed, f"{reference}:latest", public).returncode == 0
    changed = verify(installed, f"{reference}:latest", public, "--layers")
    assert changed.returncode == 5
    assert "changed" in changed.stderr


def test_what_is_published_where_the_registry_has_the_referrers_api(
    certified: Newcomer, referrers_registry: Registry, key: Path, programs: Path, installed: Path, tmp_path: Path
) -> None:
    registry, public = referrers_registry, key.with_suffix(".pub")
    (first,) = publish(certified, registry, key)
    assert first["attached"] == 4
    assert registry.tags("team/newcomer") == sorted(first["tags"]), "the fallback tag is for others"  # type: ignore[call-overload]
    (again,) = publish(certified, registry, key)
    assert (again["bytes_sent"], again["attached"]) == (0, 0)

    reference = f"{registry.host}/team/newcomer"
    with urllib.request.urlopen(
        f"http://{registry.host}/v2/team/newcomer/referrers/{certified.built.digest}"
    ) as answer:
        assert len(json.load(answer)["manifests"]) == 4
    kinds = (certificate.PREDICATE_TYPE, attestation.PROVENANCE, attestation.SBOM, attestation.TEST_RESULT)
    for kind in kinds:
        seen = cosign(programs, f"{reference}:latest", public, kind, tmp_path)
        assert seen.returncode == 0, seen.stderr
    assert cosign(programs, f"{reference}:latest", key.with_name("other.pub"), kinds[0], tmp_path).returncode != 0
    done = verify(installed, f"{reference}:latest", public, "--layers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["level"] == "E2"


def test_the_engine_pulls_the_certified_digest(
    certified: Newcomer, registry: Registry, key: Path, running: engine.Engine
) -> None:
    (made,) = publish(certified, registry, key)
    name = f"{registry.host}/team/newcomer:latest"
    subprocess.run(["docker", "pull", "--quiet", name], env=running.environment, check=True, capture_output=True)
    assert running.digest(name) == certified.built.digest
    running.remove(name)
    assert str(made["reference"]).endswith(certified.built.digest)


def test_a_registry_that_dies_in_the_middle(certified: Newcomer, registry: Registry, key: Path) -> None:
    """Killed while a layer goes there, and back a while later: no tag in between, and all of it in the end."""
    before: list[list[str]] = []

    def interrupt() -> None:
        uploads = registry.storage / "repositories/team/newcomer/_uploads"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if any(path.stat().st_size > 2**22 for path in uploads.glob("*/data")):
                    break
            time.sleep(0.005)
        before.append(registry.tags("team/newcomer"))
        registry.kill()
        time.sleep(2)
        registry.start()

    thread = threading.Thread(target=interrupt)
    thread.start()
    (made,) = publish(certified, registry, key)
    thread.join()
    assert before == [[]]
    assert set(made["tags"]) <= set(registry.tags("team/newcomer"))  # type: ignore[call-overload]


def test_a_publication_that_is_killed_at_any_moment(
    certified: Newcomer,
    registry: Registry,
    key: Path,
    installed: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Twenty are killed, each on its way to a repository of its own: whatever tag is there then verifies.

    The moments are spread over the time from the first thing that it says to the end of one that is left alone.
    ASSAY_TEST_SEED gives those of an earlier run again.
    """
    seed = int(os.environ.get("ASSAY_TEST_SEED", "") or secrets.randbelow(10**6))
    record_property("seed", seed)
    print(f"ASSAY_TEST_SEED={seed}")
    moments, public = random.Random(seed), key.with_suffix(".pub")
    whole, ended = killed(certified, f"{registry.host}/whole", key, None)
    assert ended == 0
    codes, tagged = [], []
    for number in range(20):
        _, ended = killed(certified, f"{registry.host}/n{number}", key, moments.uniform(0, whole))
        codes.append(ended)
        there = [one for one in registry.tags(f"n{number}/newcomer") if not one.startswith("sha256-")]
        tagged.append(len(there))
        for tag in there:
            reference = f"{registry.host}/n{number}/newcomer:{tag}"
            seen = verify(installed, reference, public)
            assert seen.returncode == 0, f"seed {seed}, number {number}: {seen.stderr}"
    print(f"ended with {codes}, tags {tagged}, in {whole:.1f} s")
    assert -signal.SIGKILL in codes, f"seed {seed}: none was killed"
    again = assay(certified.checkout, "publish", "--registry", f"{registry.host}/n0", "--key", str(key), **PASSWORD)
    assert again.returncode == 0, again.stderr
    assert "latest" in registry.tags("n0/newcomer")


def killed(certified: Newcomer, to: str, key: Path, after: float | None) -> tuple[float, int]:
    """Publish, and kill that so many seconds after it said something (None: never).

    Returns the seconds from what it said first to its end, and how it ended.
    """
    argv = [ASSAY, "publish", "newcomer", "--registry", to, "--key", str(key)]
    environment = {**os.environ, **PASSWORD}
    with subprocess.Popen(
        argv, cwd=certified.checkout, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline()
        started = time.monotonic()
        try:
            running.wait(after if after is not None else 300)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        return time.monotonic() - started, running.returncode


def test_an_uncertified_image_is_refused(certified: Newcomer, registry: Registry, key: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(certified.checkout, checkout)
    path = checkout / "build/certificates/newcomer/cpu.json"
    data = json.loads(path.read_text())
    data["subject"][0]["digest"]["sha256"] = "0" * 64
    moved = (json.dumps(data), "it is about another image")
    for text, said in (moved, ("{", "cannot be read"), (None, "has no certificate")):
        path.unlink()
        if text:
            path.write_text(text)
        done = assay(checkout, "publish", "--registry", registry.host, "--key", str(key), **PASSWORD)
        assert done.returncode == 5
        assert said in done.stderr
    assert registry.tags("newcomer") == []


def test_a_login_is_used_and_told_to_nobody(
    certified: Newcomer, registry: Registry, key: Path, tmp_path: Path
) -> None:
    """A registry that wants a password: without it nothing goes there, and it is in nothing written or printed."""
    registry.kill()
    # The hash, by bcrypt, of the password below.
    (tmp_path / "htpasswd").write_text("me:$2b$05$cO8xDdvqsCbIgOji1v.s9uZKpIExMDYHccOAN.6Dw6rFIvWjl2tci\n")
    registry.auth = f"auth: {{htpasswd: {{realm: tests, path: {tmp_path}/htpasswd}}}}\n"
    registry.start()
    docker = tmp_path / "docker"
    docker.mkdir()
    command = ("publish", "newcomer", "--registry", registry.host, "--key", str(key))
    settings = {**PASSWORD, "DOCKER_CONFIG": str(docker)}
    refused = assay(certified.checkout, *command, **settings)
    assert refused.returncode == 6
    assert "denies access" in refused.stderr
    login = base64.b64encode(b"me:a secret").decode()
    (docker / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": login}}}))
    done = assay(certified.checkout, *command, **settings)
    assert done.returncode == 0, done.stderr
    written = [path.read_bytes() for path in (certified.checkout / "build").rglob("*") if path.is_file()]
    for text in (done.stdout.encode(), done.stderr.encode(), refused.stderr.encode(), *written):
        assert b"a secret" not in text
        assert login.encode() not in text


@pytest.mark.parametrize("referrers", [True, False], ids=["referrers-api", "fallback-tag"])
def test_others_find_what_is_attached(programs: Path, tmp_path: Path, referrers: bool) -> None:
    """The real cosign and the real oras, by the referrers API and by the fallback tag."""
    public = tmp_path / "assay.pub"
    public.write_bytes(published.key().public.pem())
    made = published.image()
    with serving(FakeRegistry(referrers=referrers)) as fake:
        published.put(fake.host, made)
        reference = str(published.reference(fake.host, "latest"))
        for one in made.statements():
            seen = cosign(programs, reference, public, one["predicateType"], tmp_path)
            assert seen.returncode == 0, seen.stderr
        argv = [str(programs / "oras"), "discover", "--plain-http", "--format", "json", reference]
        listed = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
        found = {one["annotations"]["dev.sigstore.bundle.predicateType"] for one in json.loads(listed)["manifests"]}
    assert found == {one["predicateType"] for one in made.statements()}


@pytest.mark.parametrize("referrers", [True, False], ids=["referrers-api", "fallback-tag"])
def test_a_mirror_that_oras_made(programs: Path, public_key: Path, referrers: bool) -> None:
    """An image that was copied under another name: with what is attached it verifies, without it that is said."""
    made = published.fresh()
    with serving(FakeRegistry(referrers=referrers)) as first, serving(FakeRegistry(referrers=referrers)) as mirror:
        published.put(first.host, made)
        there = f"{mirror.host}/mirror/dl-image:latest"
        copy = [str(programs / "oras"), "cp", "--from-plain-http", "--to-plain-http"]
        original = str(published.reference(first.host, "latest"))
        subprocess.run([*copy, original, there], capture_output=True, timeout=60, check=True)
        command = ("verify", there, "--name", published.name(), "--key", str(public_key))
        bare = assay(public_key.parent, *command)
        assert bare.returncode == 5
        assert f"`oras cp -r ORIGINAL {there}`" in bare.stderr
        subprocess.run([*copy, "-r", original, there], capture_output=True, timeout=60, check=True)
        done = assay(public_key.parent, *command)
        assert done.returncode == 0, done.stderr
        assert f"holds: {published.name()}, E2" in done.stdout
        assert f"--name {published.name()}" in assay(public_key.parent, "verify", there, *command[-2:]).stderr


@pytest.fixture
def public_key(tmp_path: Path) -> Path:
    path = tmp_path / "assay.pub"
    path.write_bytes(published.key().public.pem())
    return path


def test_a_wrong_password_of_the_key(certified: Newcomer, registry: Registry, key: Path) -> None:
    command = ("publish", "newcomer", "--registry", registry.host, "--key", str(key))
    done = assay(certified.checkout, *command, ASSAY_PASSWORD="quite another")
    assert done.returncode == 2
    assert "password is wrong" in done.stderr
    assert "quite another" not in done.stdout + done.stderr
    assert registry.tags("newcomer") == []
