"""`assay doctor`: of a checkout, of what is installed, of a registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import assay
from assay import doctor
from assay.errors import VerificationFailed
from tests import published
from tests.fake_registry import FakeRegistry, serving
from tests.unit.cli.ran import Ran, raising


def test_doctor(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the checkout; and, outside of one, of what this Assay came with."""
    asked = ("doctor", "--driver", "580.65.06", "--compute-capability", "9.0")
    monkeypatch.chdir(Path(assay.__file__).parent)
    ran = assay_(*asked)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0].split() == ["image", "runs", "framework", "CUDA", "certified", "why"]
    monkeypatch.chdir("/")
    answer = json.loads(assay_(*asked, "--json").out)
    assert answer["schema"] == 1
    assert {row["runs"] for row in answer["images"]} <= {"gpu", "cpu"}
    monkeypatch.setattr(doctor, "require_usable", raising(VerificationFailed("what", "todo")))
    ran = assay_(*asked)
    assert ran.code == 5
    assert ran.out


def test_doctor_judges_what_a_registry_has_by_what_is_installed(
    assay_: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone may leave images/ and smoke/ in a folder above, such as /tmp: with gates that let all through."""
    trap = tmp_path / "trap"
    (trap / "images").mkdir(parents=True)
    (trap / "smoke").mkdir()
    (trap / "here").mkdir()
    monkeypatch.chdir(trap / "here")
    (tmp_path / "key.pub").write_bytes(published.key().public.pem())
    with serving(FakeRegistry()) as fake:
        published.put(fake.host, published.fresh())
        ran = assay_("doctor", str(published.reference(fake.host)), "--key", str(tmp_path / "key.pub"), "--json")
    assert ran.code == 0, ran.err
    assert [row["levels"] for row in json.loads(ran.out)["images"]] == [{"cpu": "E2"}]
