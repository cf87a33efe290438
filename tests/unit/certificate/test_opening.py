"""Opening certificates: where they come from, which suite judges them, and which of two counts."""

from __future__ import annotations

import copy
import datetime
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay import certificate
from assay.certificate import LARGEST_REPORT, Configuration, Policy, Suite, Suites, worst_of_newest
from assay.certificate.suite import RELEASED
from assay.errors import VerificationFailed
from tests.conftest import ROOT
from tests.unit.certificate.mutation import kept
from tests.unit.certificate.reports import REAL, SUITE, SUITES, a_plan, metric, report, stated, whole, written


def opened(statement: Any, **policy: Any) -> certificate.Certificate:
    return certificate.read(statement, Policy(SUITES, **policy))


def test_a_statement_carries_its_report() -> None:
    statement = stated(whole())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "newcomer", "digest": {"sha256": "d" * 64}}]
    predicate = statement["predicate"]
    assert predicate["achieved"] == "E2"
    assert predicate["plan"]["engine"] == "docker 28"
    assert {"level": "E3", "reason": "no GPU was asked for"} in predicate["notRun"]
    assert certificate.report_of(statement) == report(whole())
    one = opened(statement)
    assert (one.image, one.device, one.digest, one.suite) == ("newcomer", "cpu", "sha256:" + "d" * 64, SUITE)
    assert (one.verdict.level, one.verdict.passed, one.origin) == ("E2", True, "")


def test_a_claim_is_never_read_and_one_too_high_is_told() -> None:
    data = whole()
    metric(data, "P2.train.f32", "loss")["value"] = "1"
    statement = stated(data)
    statement["predicate"] |= {"achieved": "E4", "notRun": [], "marks": ["good"]}
    assert (opened(statement).verdict.level, opened(statement).verdict.passed) == ("E1", False)
    statement = stated(whole())
    statement["predicate"]["achieved"] = "E4"
    assert opened(statement).origin == "it claims E4, and its evidence amounts to E2"
    assert opened(statement).verdict.level == "E0"
    statement["predicate"]["achieved"] = "E1"
    assert opened(statement).verdict.level == "E2"


@pytest.mark.parametrize("name", ["schema", "suite", "plan", "host", "stack", "results", "faults", "complete"])
@pytest.mark.parametrize("value", ["left out", None, 3, "x", [3]])
def test_a_malformed_statement(name: str, value: Any) -> None:
    statement = stated(whole())
    if value == "left out":
        del statement["predicate"][name]
    else:
        statement["predicate"][name] = value
    with pytest.raises(VerificationFailed) as caught:
        opened(statement)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("statement", [{}, {"predicate": None}, {"predicate": []}, {"predicate": {"plan": {}}}])
def test_no_statement_at_all(statement: dict[str, Any]) -> None:
    with pytest.raises(VerificationFailed):
        opened(statement)


@pytest.mark.parametrize(
    "data", [None, b"", b"{", b"[]", b"3", b"\xff", b"[" * 100000, b'{"a": 1, "a": 1}', b'{"a": NaN}', b"9" * 5000]
)
def test_a_certificate_that_cannot_be_read_is_none(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "c.json").write_bytes(data)
    assert certificate.read_statement(tmp_path / "c.json") is None


@pytest.mark.parametrize("kind", ["pipe", "link to nothing", "link to a device", "folder", "too large"])
def test_what_is_no_plain_file_is_no_certificate(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "cpu.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "too large":
        path.touch()
        os.truncate(path, LARGEST_REPORT + 1)
    else:
        path.symlink_to("/dev/zero" if kind == "link to a device" else "nothing")
    found: list[Any] = ["it hangs"]

    def reading() -> None:
        found[0] = certificate.read_statement(path)

    reader = threading.Thread(target=reading, daemon=True)
    reader.start()
    reader.join(10)
    assert found == [None]


@pytest.mark.parametrize(
    ("field", "several"),
    [
        ("framework", {"name": "newcomer", "module": "x", "backends": [f"b{number}" for number in range(100_000)]}),
        ("workloads", [f"w{number}" for number in range(100_000)]),
        ("labels", {f"x{number}": "" for number in range(100_000)}),
        ("packages", {f"x{number}": "" for number in range(100_000)}),
        ("stderr", ["x"] * 100_000),
        ("uncalled", {f"x{number}": "" for number in range(100_000)}),
    ],
)
def test_a_plan_that_asks_for_too_much_is_malformed(field: str, several: Any) -> None:
    """What it asks for is multiplied by the rows of the levels: backends alone would fill the memory."""
    statement = stated(whole())
    statement["predicate"]["plan"][field] = several
    assert opened(statement).origin == "its plan is malformed"


def test_a_certificate_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a/b/cpu.json"
    certificate.write(path, {"a": 1})
    with pytest.raises(TypeError):
        certificate.write(path, {"a": object()})
    assert certificate.read_statement(path) == {"a": 1}
    assert [each.name for each in path.parent.iterdir()] == ["cpu.json"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one.update(_type="x"), "it is no in-toto Statement v1 but 'x'"),
        (lambda one: one.update(predicateType="x"), "it is no certificate but 'x'"),
        (lambda one: one["subject"].append(one["subject"][0]), "it is about 2 images at once"),
        (lambda one: one["subject"][0]["digest"].update(sha512="0"), "it names its image by more, or less"),
        (
            lambda one: one["subject"][0].update(name="newcomer2"),
            "it is about 'newcomer2', and its report is of 'newcomer'",
        ),
        (
            lambda one: one["predicate"]["suite"]["digest"].update(sha256="0" * 64),
            "its suite (000000000000) is unknown",
        ),
        (
            lambda one: one["predicate"]["suite"]["gates"].update(sha256="0" * 64),
            "its gates (000000000000) is unknown",
        ),
        (lambda one: one["predicate"]["suite"]["reference"].update(sha256="0" * 64), "its reference (0000"),
        (lambda one: one["predicate"]["plan"].update(labels=3), "its plan is malformed"),
        (lambda one: one["predicate"].update(timeCreated="2999-01-01T00:00:00Z"), "it was made in the future"),
        (lambda one: one["predicate"].update(timeCreated="2026-01-01T00:00:00"), "it does not say when it was made"),
    ],
)
def test_a_certificate_from_elsewhere(change: Callable[[Any], None], said: str) -> None:
    statement = stated(whole())
    change(statement)
    one = opened(statement)
    assert said in one.origin
    assert one.verdict.level == "E0"
    assert one.verdict.problems[0] == ("certificate", one.origin)


# ---- which of two counts


def of_a_second(second: int, loss: str = "1e-7", device: str = "cpu") -> certificate.Certificate:
    data = written(a_plan(device=device))
    metric(data, "P2.train.f32", "loss")["value"] = loss
    statement = stated(data)
    statement["predicate"]["timeCreated"] = f"2026-01-01T00:00:{second:02}Z"
    return opened(statement)


def test_of_each_device_the_newest_counts() -> None:
    several = [of_a_second(2), of_a_second(1, "1"), of_a_second(1, device="gpu"), of_a_second(2, "1", "gpu")]
    for order in (several, several[::-1]):
        assert [(one.device, one.verdict.level) for one in worst_of_newest(order)] == [("cpu", "E2"), ("gpu", "E1")]


def test_of_one_second_the_worse_counts() -> None:
    """Otherwise the order decides in which a registry lists them."""
    good, bad = of_a_second(1), of_a_second(1, "1")
    for order in ([good, bad], [bad, good]):
        assert worst_of_newest(order) == [bad]


def test_times_are_compared_as_times() -> None:
    early, late = stated(written(a_plan())), stated(written(a_plan()))
    early["predicate"]["timeCreated"] = "2026-01-01T01:00:00+02:00"
    late["predicate"]["timeCreated"] = "2026-01-01T00:00:00Z"
    assert worst_of_newest([opened(late), opened(early)])[0].created == "2026-01-01T00:00:00Z"


def test_one_that_tells_no_time_is_not_passed_over() -> None:
    timeless = stated(written(a_plan()))
    timeless["predicate"]["timeCreated"] = "long ago"
    (one,) = worst_of_newest([of_a_second(1), opened(timeless)])
    assert not one.verdict.passed


# ---- yesterday's certificates


def test_a_certificate_of_the_suite_before_stays_as_good() -> None:
    """The next suite has other gates, levels, literals and digests; each certificate is judged by its own."""
    statement = stated(whole())
    gates = {**SUITE.gates, "digits": {"accuracy": "0.99"}}
    about = msgspec.structs.replace(SUITE.frameworks["newcomer"], cannot={})
    levels = msgspec.structs.replace(SUITE.levels, results=SUITE.levels.results[:3])
    after = Suite({"newcomer": "1" * 64}, "2" * 64, "3" * 64, {"newcomer": about}, gates, levels)
    one = certificate.read(statement, Policy(Suites(after, (SUITE,))))
    assert (one.verdict.level, one.suite) == ("E2", SUITE)
    alone = certificate.read(statement, Policy(Suites(after)))
    assert alone.verdict.level == "E0"
    assert "is unknown to this Assay" in alone.origin
    # Of two suites' digests, no mixture is known: looser gates cannot be taken from one and a report from the other.
    mixed = copy.deepcopy(statement)
    mixed["predicate"]["suite"]["gates"]["sha256"] = "2" * 64
    assert "its gates (222222222222) is unknown" in certificate.read(mixed, Policy(Suites(after, (SUITE,)))).origin


def test_a_change_to_one_frameworks_file_leaves_the_others_certificates_good(tmp_path: Path) -> None:
    """The digests of the other frameworks stay as they are, and so do their certificates."""
    now = Suites.read(ROOT)
    before = now.current
    victim = min(before.frameworks)
    changed = msgspec.structs.replace(before, digests={**before.digests, victim: "0" * 64})
    for name in before.frameworks:
        statement = stated(written(a_plan(name), before), before)
        one = certificate.read(statement, Policy(Suites(changed)))
        assert one.verdict.passed is (name != victim)
        assert certificate.read(statement, Policy(Suites(changed, (before,)))).verdict.passed


@pytest.mark.parametrize("promise", ["framework", "backends", "workloads", "plan"])
def test_todays_image_is_not_certified_by_yesterdays_suite(promise: str) -> None:
    """The suite before looked at less of what an image promises. Its certificates are good for images of its time."""
    statement = stated(written(a_plan()))
    facts = statement["predicate"]["image"]
    labels = {f"assay.{name}": value for name, value in statement["predicate"]["plan"]["labels"].items()}
    before = msgspec.structs.replace(SUITE, levels=msgspec.structs.replace(SUITE.levels, promises=("labels",)))
    for more, level in (({}, "E2"), ({f"assay.{promise}": "much"}, "E0")):
        config = Configuration(facts["configDigest"], tuple(facts["diffIDs"]), facts["platform"], {**labels, **more})
        one = certificate.read(statement, Policy(Suites(before), configuration=config))
        assert one.verdict.level == level
        assert (promise in one.origin) is bool(more)


def test_every_kept_certificate_is_of_a_suite_that_is_known() -> None:
    for base in kept().values():
        assert base.opened.suite is not None
        assert base.opened.verdict.passed, base.opened.verdict.problems
        assert base.opened.verdict.level == base.predicate["achieved"]


def test_the_released_suites_are_what_they_are_called() -> None:
    paths = sorted(RELEASED.glob("*.json"))
    assert paths
    for path in paths:
        suite = msgspec.json.decode(path.read_bytes(), type=Suite)
        assert path.stem == suite.name


def test_age_is_by_the_clock_that_is_given() -> None:
    statement = stated(whole())
    created = datetime.datetime.fromisoformat(statement["predicate"]["timeCreated"])
    later = created + datetime.timedelta(days=400)
    assert opened(statement, now=later).verdict.passed
    assert "it is 400 days old, and at most 365 are allowed" in opened(statement, now=later, max_age_days=365).origin
    assert json.loads(json.dumps(REAL)) == REAL
