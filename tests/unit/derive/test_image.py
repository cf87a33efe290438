"""The image itself: what the engine has under a name, and how its containers start."""

from __future__ import annotations

from typing import Any

import pytest

from assay.derive.image import PATH
from assay.errors import AssayError, CertificateFailed, UsageError, VerificationFailed
from tests.conftest import ROOT
from tests.unit.derive.made import ENVIRONMENT, Derivations


def index(place: Derivations, *entries: dict[str, Any]) -> None:
    place.engine.names["mine"] = place.engine.put_json({"schemaVersion": 2, "manifests": list(entries)})


def entry(digest: str, system: str = "linux", **more: Any) -> dict[str, Any]:
    return {"digest": digest, "platform": {"os": system, "architecture": "amd64"}, **more}


def refused(place: Derivations, kind: type[AssayError], *words: str) -> None:
    with pytest.raises(kind) as failed:
        place.certify()
    assert len(str(failed.value).splitlines()) == 2
    for word in words:
        assert word in failed.value.what
    assert place.engine.requests == [], "nothing of it was run"


def test_an_index_that_docker_build_makes_holds_one_image(place: Derivations) -> None:
    digest = place.engine.names[place.derived({})]
    attached = entry(
        "sha256:" + "a" * 64, "unknown", annotations={"vnd.docker.reference.type": "attestation-manifest"}
    )
    index(place, entry(digest), attached)
    found = place.certify()
    assert found.outcome.passed
    assert place.engine.requests[0].image == place.engine.names["mine"]


def test_an_index_of_several_images(place: Derivations) -> None:
    digest = place.engine.names[place.derived({})]
    index(place, entry(digest), entry("sha256:" + "a" * 64, "windows"))
    refused(place, UsageError, "mine is an index of 2 images (linux/amd64, windows/amd64), and not one image")


def test_an_index_of_an_index(place: Derivations) -> None:
    index(place, entry("sha256:" + "a" * 64))
    inner = place.engine.names["mine"]
    index(place, entry(inner))
    refused(place, UsageError, "mine is an index of an index")


def test_no_image(place: Derivations) -> None:
    refused(place, UsageError, "the engine has no image mine")
    place.engine.names["mine"] = place.engine.put_json({"schemaVersion": 2})
    refused(place, UsageError, "mine is no image")
    place.engine.names["mine"] = place.engine.put_json([])
    refused(place, VerificationFailed, "is malformed")


def test_an_image_of_another_platform(place: Derivations) -> None:
    place.derived({})
    manifest = place.engine.manifest(place.engine.names["mine"], "")
    config = place.engine.manifest(manifest["config"]["digest"], "")
    for change, said in (
        ({"architecture": "arm64"}, "is of linux/arm64"),
        ({"rootfs": {"diff_ids": []}}, "more or fewer"),
    ):
        other = {**manifest, "config": {"digest": place.engine.put_json({**config, **change})}}
        place.engine.names["mine"] = place.engine.put_json(other)
        refused(place, UsageError, said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"Entrypoint": ["/bin/sh", "-c", "echo hello"]},
            "its ENTRYPOINT is /bin/sh -c echo hello, and not /opt/assay",
        ),
        ({"Entrypoint": None}, "its ENTRYPOINT is none"),
        ({"Entrypoint": ["\x1b[2J"]}, "its ENTRYPOINT is \\x1b[2J"),
        ({"User": "root"}, "it runs as root"),
        ({"User": "0:1000"}, "it runs as root"),
        ({"User": ""}, "it runs as root"),
        ({"Env": [*ENVIRONMENT, "LD_PRELOAD=/x.so"]}, "it sets LD_PRELOAD"),
        ({"Env": [*ENVIRONMENT, "PYTHONPATH=/x"]}, "it sets PYTHONPATH"),
        ({"Env": [*ENVIRONMENT, "OPENSSL_CONF=/x"]}, "it sets OPENSSL_CONF"),
        ({"Env": [f"PATH=/evil:{PATH}"]}, "its PATH does not begin with"),
        ({"Env": [f"PATH={PATH}x:/y"]}, "its PATH does not begin with"),
        ({"Env": None}, "its PATH does not begin with"),
        ({"Healthcheck": {"Test": ["CMD", "/evil"]}}, "it has a HEALTHCHECK"),
    ],
)
def test_an_image_that_starts_in_another_way(place: Derivations, settings: dict[str, Any], said: str) -> None:
    place.derived({}, **settings)
    refused(place, CertificateFailed, said)


def test_what_does_no_harm(place: Derivations) -> None:
    path = f"PATH={PATH}:/opt/mine/bin"
    place.derived({}, Env=[path, "PYTHONUNBUFFERED=1", "MINE=1"], Cmd=["python", "train.py"], WorkingDir="/src")
    assert place.certify().outcome.passed


def test_the_path_is_that_of_our_images() -> None:
    assert f"PATH={PATH} \\\n" in (ROOT / "images/Dockerfile").read_text()
