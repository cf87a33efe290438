"""The base that an image stands on: found by its layers, held to its certificate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay import derive
from assay.certificate import Certificate
from assay.derive.base import choose
from assay.derive.image import read
from assay.errors import CertificateFailed, UsageError, VerificationFailed
from tests.unit.derive.made import Derivations, digest_of, layer


def chosen(place: Derivations, certificates: list[Certificate] | None = None, device: str = "cpu") -> Certificate:
    engine: Any = place.engine
    return choose(read(engine, "mine"), place.certificates if certificates is None else certificates, device)


def copied(place: Derivations, folder: str, **image: Any) -> Path:
    """The base's certificate under another name, with other facts of its image."""
    statement = json.loads((place.root / "build/certificates/plain/cpu.json").read_text())
    statement["predicate"]["image"].update(image)
    path = place.root / folder / "cpu.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(statement))
    return path


def test_committed_certificates_count_too(place: Derivations) -> None:
    place.derived({})
    copied(place, "certificates/plain")
    (place.root / "build/certificates/plain/cpu.json").unlink()
    assert chosen(place).image == "plain"


def test_the_base_with_the_most_layers(place: Derivations) -> None:
    place.derived({"a": "1"}, {"b": "2"})
    tars = [digest_of(layer(each)) for each in [*place.base, {"a": "1"}]]
    copied(place, "certificates/more", diffIDs=tars)
    copied(place, "certificates/less", diffIDs=tars[:1])
    assert len(chosen(place).diff_ids) == 4


@pytest.mark.parametrize("base", [0, 2])
def test_an_image_that_stands_on_nothing_certified(place: Derivations, base: int) -> None:
    place.derived({"a": "1"}, base=base)
    with pytest.raises(VerificationFailed, match="mine: its layers begin with no certified image's"):
        chosen(place)
    with pytest.raises(VerificationFailed, match="begin with no certified image's"):
        chosen(place, [])


def test_a_certificate_without_layers_is_nobody_s_base(place: Derivations) -> None:
    place.derived({})
    copied(place, "certificates/empty", diffIDs=[])
    (place.root / "build/certificates/plain/cpu.json").unlink()
    with pytest.raises(VerificationFailed, match="begin with no certified image's"):
        chosen(place)


def test_the_image_itself_is_not_derived(place: Derivations) -> None:
    place.derived()
    place.certify_base(digest=place.engine.names["mine"])
    with pytest.raises(UsageError, match="mine is plain itself, and not derived from it"):
        chosen(place)


def test_a_base_that_is_not_certified_on_the_device(place: Derivations) -> None:
    place.derived({})
    with pytest.raises(CertificateFailed, match="plain, which has no certificate on the gpu"):
        chosen(place, device="gpu")


def test_a_base_whose_certificate_does_not_hold(place: Derivations) -> None:
    place.derived({})
    path = place.root / "build/certificates/plain/cpu.json"
    statement = json.loads(path.read_text())
    statement["predicate"]["results"][0]["state"] = "fail"
    path.write_text(json.dumps(statement))
    with pytest.raises(VerificationFailed, match="plain, whose certificate does not hold: static"):
        chosen(place)


def test_the_certificate_in_a_file(place: Derivations, tmp_path: Path) -> None:
    place.derived({})
    path = copied(place, "elsewhere")
    assert chosen(place, derive.of_file(path, place.suites)).image == "plain"
    with pytest.raises(UsageError, match="is no certificate"):
        derive.of_file(tmp_path / "README.md", place.suites)


def test_what_is_no_certificate_is_passed_over(place: Derivations) -> None:
    (place.root / "build/certificates/plain/other.json").write_text("{}")
    (place.root / "build/certificates/plain/more.json").write_text("[")
    assert [one.image for one in place.certificates] == ["plain"]
