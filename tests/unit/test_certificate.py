from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assay import certificate, suite
from assay.certificate import Known, Report, Verdict
from assay.errors import VerificationFailed
from smoke import plan as plans

RECORDING = Path(__file__).parent / "data" / "report"
REAL: dict[str, Any] = json.loads((RECORDING / "report.json").read_text())
GATES = json.loads((RECORDING / "gates.json").read_text())
KNOWN = Known(
    suites={REAL["plan"]["framework"]["name"]: REAL["suite"]["sha256"]},
    gates_digest=hashlib.sha256((RECORDING / "gates.json").read_bytes()).hexdigest(),
    reference=REAL["reference"]["sha256"],
    gates=GATES,
)
IMAGE = {"name": "newcomer", "digest": "sha256:" + "d" * 64, "configDigest": "c", "diffIDs": ("a",), "inputs": {}}
STATIC = {
    "id": "static.contract",
    "family": "static",
    "state": "pass",
    "reason": "",
    "remedy": "",
    "requested": "",
    "observed": "",
    "metrics": [{"name": "wrong", "value": "0", "gate": "0", "relation": "<="}],
    "seconds": "0.1",
}


def whole(device: str = "cpu", *, cuda: bool = False) -> dict[str, Any]:
    """The recorded report, and what it would hold of CUDA if its image promised it."""
    data = copy.deepcopy(REAL)
    data["plan"]["device"] = device
    if cuda:
        data["plan"]["labels"] = {"cuda": "13.2"}
        data["results"] = [one for one in data["results"] if one["id"] not in certificate.STATIC_CUDA]
        data["results"] += [{**STATIC, "id": name, "metrics": just_held(name)} for name in certificate.STATIC_CUDA]
        wrong = {"name": "wrong", "value": "1", "gate": "0", "relation": "<="}
        hidden = {"id": "hidden-sublibrary", "check": "static.closure", "state": "fail", "reason": "it is not there"}
        data["faults"].append({**hidden, "metrics": [wrong]})
    return data


def just_held(identity: str) -> list[dict[str, str]]:
    """The metrics that gates.json has for a check, each just on its right side."""
    table = certificate._gates_of(identity, "", GATES)
    return [
        {"name": name, "value": gate, "gate": gate, "relation": certificate._RELATIONS.get(name, "<=")}
        for name, gate in table.items()
    ]


def report(data: Any) -> Report:
    return certificate.parse_report(json.dumps(data).encode())


def judged(data: dict[str, Any]) -> Verdict:
    return certificate.judge(report(data), KNOWN)


def result(data: dict[str, Any], identity: str) -> dict[str, Any]:
    return next(one for one in data["results"] if one["id"] == identity)


def metric(data: dict[str, Any], identity: str, name: str) -> dict[str, Any]:
    return next(one for one in result(data, identity)["metrics"] if one["name"] == name)


def ran(data: dict[str, Any], precision: str) -> None:
    """Let a class have been run that this framework has not."""
    made = result(data, f"P2.train.{precision}")
    made |= {"state": "pass", "reason": "", "requested": precision, "observed": precision}
    made["metrics"] = [
        {"name": name, "value": "0", "gate": gate, "relation": "<="}
        for name, gate in GATES["parity"][precision].items()
    ]


# ---- what a real report amounts to -------------------------------------------------------------------


def test_the_recorded_run_is_judged_as_it_was() -> None:
    assert judged(whole()) == Verdict("E2", (), judged(REAL).not_run)
    assert {name for name, _ in judged(whole()).not_run} >= {"P2.train.tf32", "P2.train.bf16"}
    certificate.check_origin(report(REAL), REAL["plan"], KNOWN)


def test_the_levels() -> None:
    assert judged(whole("gpu")).level == "E3"
    data = whole("gpu")
    for precision in ("tf32", "bf16", "fp16"):
        assert judged(data).level == "E3"
        ran(data, precision)
    assert judged(data).level == "E4"
    metric(data, "P2.train.fp16", "loss")["value"] = "1"
    assert judged(data).level == "E1"


@pytest.mark.parametrize("prefix", [*certificate.STATIC, *certificate.STATIC_CUDA, *certificate.TRAINING])
@pytest.mark.parametrize("how", ["left out", "not run"])
def test_a_family_that_is_missing_drops_the_level(prefix: str, how: str) -> None:
    data = whole("gpu", cuda=True)
    of_it = [one for one in data["results"] if one["id"] == prefix or one["id"].startswith(f"{prefix}.")]
    assert of_it
    if how == "left out":
        data["results"] = [one for one in data["results"] if one not in of_it]
    else:
        for one in of_it:
            one |= {"state": "not-run", "reason": "it could not", "metrics": []}
    verdict = judged(data)
    assert verdict.level == ("E0" if prefix.startswith("static") else "E1")


@pytest.mark.parametrize("prefix", [*certificate.STATIC, *certificate.STATIC_CUDA, *certificate.TRAINING])
@pytest.mark.parametrize("state", ["fail", "error"])
def test_a_result_that_says_it_failed_is_believed(prefix: str, state: str) -> None:
    data = whole("gpu", cuda=True)
    one = next(one for one in data["results"] if one["id"] == prefix or one["id"].startswith(f"{prefix}."))
    one |= {"state": state, "reason": "so it was"}
    verdict = judged(data)
    assert verdict.problems == ((one["id"], "so it was"),)
    assert verdict.level == ("E0" if prefix.startswith("static") else "E1")
    assert not verdict.passed


def with_backends(*names: str) -> dict[str, Any]:
    """The report as if each family had been run with each of these backends."""
    data = whole(cuda=True)
    data["plan"]["framework"]["backends"] = list(names)
    once = [one for one in data["results"] if one["family"] == "static" and one["id"] != "static.loaded"]
    rest = [one for one in data["results"] if one not in once]
    data["results"] = once + [{**copy.deepcopy(one), "id": f"{one['id']}.{name}"} for name in names for one in rest]
    hidden = [one for one in data["faults"] if one["check"] == "static.closure"]
    data["faults"] = hidden + [
        {**copy.deepcopy(one), "id": f"{one['id']}.{name}", "check": f"{one['check']}.{name}"}
        for name in names
        for one in data["faults"]
        if one not in hidden
    ]
    return data


def test_a_level_is_reached_with_every_backend() -> None:
    verdict = judged(with_backends("one", "two"))
    assert (verdict.level, verdict.problems) == ("E2", ())


@pytest.mark.parametrize("prefix", [*certificate.LOADED, *certificate.TRAINING])
def test_a_family_that_one_backend_lacks_drops_the_level(prefix: str) -> None:
    data = with_backends("one", "two")
    kept = [one for one in data["results"] if not (one["id"].startswith(prefix) and one["id"].endswith(".two"))]
    assert len(kept) < len(data["results"])
    data["results"] = kept
    assert judged(data).level == ("E0" if prefix.startswith("static") else "E1")


def test_the_gates_and_the_faults_hold_for_each_backend() -> None:
    data = with_backends("one", "two")
    metric(data, "P2.train.f32.two", "dW")["value"] = "1"
    assert [name for name, _ in judged(data).problems] == ["P2.train.f32.two"]
    assert judged(data).level == "E1"
    data = with_backends("one", "two")
    data["faults"] = [one for one in data["faults"] if one["id"] != "lr-1.001.two"]
    assert judged(data).problems == (("fault lr-1.001.two", "was not put in"),)


def test_an_image_without_cuda_needs_no_checks_of_cuda() -> None:
    data = whole()
    assert judged(data).level == "E2"
    data["plan"]["labels"] = {"cuda": "13.2"}
    assert judged(data).level == "E0"


def test_a_part_of_a_plan_is_no_certificate() -> None:
    data = whole()
    data["complete"] = False
    assert judged(data) == Verdict("E0", (("suite", "only a part of the plan was run"),), judged(data).not_run)


def test_an_empty_report() -> None:
    data = whole()
    data |= {"results": [], "faults": []}
    verdict = judged(data)
    assert verdict.level == "E0"
    assert {name for name, _ in verdict.problems} == {f"fault {name}" for name in GATES["faults"]["put_in"]}


# ---- a report that was edited by hand ----------------------------------------------------------------


def all_gated() -> Iterator[tuple[str, str]]:
    for one in REAL["results"]:
        for each in one["metrics"]:
            if each["gate"] is not None:
                yield one["id"], each["name"]


def decided() -> Iterator[tuple[str, str]]:
    """The metrics that gates.json decides about."""
    for identity, name in all_gated():
        if name in certificate._gates_of(identity, "", GATES):
            yield identity, name


def test_no_check_has_a_gate_that_gates_json_does_not_know() -> None:
    assert set(all_gated()) == set(decided())


def test_what_gates_json_decides_about_is_known_to_the_host() -> None:
    assert set(decided()) >= {
        *(("P2.train.f32", name) for name in ("loss", "grad", "dW")),
        *(("P2.train.f64", name) for name in ("loss", "grad", "dW")),
        *(("P0.gemm.f32", "wrong"), ("P0.conv.f32", "error"), ("digits.cnn", "accuracy")),
        *(("P3.determinism", "different"), ("checkpoint.f32", "loss"), ("checkpoint.f32", "weights")),
        ("loader.workers", "wrong"),
    }


@pytest.mark.parametrize(("identity", "name"), sorted(set(all_gated())))
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "", "x", "0x1", "failing"])
def test_a_value_that_does_not_hold_is_seen_whatever_the_state_says(identity: str, name: str, value: str) -> None:
    data = whole()
    one = metric(data, identity, name)
    one["value"] = (
        {"<=": "1e300", "<": "1e300", ">=": "-1e300", "==": "1e300"}[one["relation"]]
        if (value == "failing")
        else value
    )
    verdict = judged(data)
    assert [each for each, _ in verdict.problems] == [identity]
    assert verdict.level == ("E0" if identity.startswith("static") else "E1")


@pytest.mark.parametrize(("identity", "name"), sorted(set(decided())))
@pytest.mark.parametrize(
    "edit",
    [
        {"gate": None},
        {"gate": "1e300"},
        {"gate": "-1e300"},
        {"gate": "inf"},
        {"gate": "nan"},
        {"gate": ""},
        {"relation": "=="},
        {"gate": "0.0000"},
    ],
)
def test_another_gate_than_that_of_the_suite_is_seen(identity: str, name: str, edit: dict[str, Any]) -> None:
    data = whole()
    metric(data, identity, name).update(edit)
    assert identity in dict(judged(data).problems)


@pytest.mark.parametrize(("identity", "name"), sorted(set(decided())))
def test_a_relation_turned_round_is_seen(identity: str, name: str) -> None:
    data = whole()
    one = metric(data, identity, name)
    for relation in {"<=", "<", ">=", "=="} - {one["relation"]}:
        one["relation"] = relation
        assert identity in dict(judged(data).problems)


@pytest.mark.parametrize(("identity", "name"), sorted(set(decided())))
def test_a_metric_left_out_is_seen(identity: str, name: str) -> None:
    data = whole()
    one = result(data, identity)
    one["metrics"] = [each for each in one["metrics"] if each["name"] != name]
    one["metrics"].append({"name": "other", "value": "0", "gate": None, "relation": "<="})
    assert identity in dict(judged(data).problems)


@pytest.mark.parametrize("identity", [one["id"] for one in REAL["results"] if one["state"] == "pass"])
def test_a_result_without_evidence_is_no_pass(identity: str) -> None:
    data = whole()
    result(data, identity)["metrics"] = []
    assert identity in dict(judged(data).problems)


@pytest.mark.parametrize(
    "edit",
    [
        {"family": "cost"},  # the family that an id names counts, and no other
        {"requested": "bf16", "observed": "bf16"},
        {"family": "parity", "requested": "bf16", "observed": "bf16"},
        {"reason": "all is well"},
    ],
)
def test_a_looser_class_cannot_be_claimed(edit: dict[str, str]) -> None:
    data = whole()
    result(data, "P2.train.f32").update(edit)
    for name, gate in GATES["parity"]["bf16"].items():
        metric(data, "P2.train.f32", name).update({"value": gate, "gate": gate})
    assert "P2.train.f32" in dict(judged(data).problems)


def test_a_weight_of_a_checkpoint_is_held_to_its_own_gate() -> None:
    data = whole()
    metric(data, "checkpoint.f32", "loss").update({"value": "1e-6", "gate": GATES["parity"]["f32"]["loss"]})
    assert "checkpoint.f32" in dict(judged(data).problems)


def test_another_class_than_was_asked_for_is_seen() -> None:
    data = whole()
    result(data, "P2.train.f32")["observed"] = "f32 on gpu"
    assert dict(judged(data).problems) == {"P2.train.f32": "asked for f32, observed f32 on gpu"}


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_skip_needs_a_reason(reason: str) -> None:
    data = whole()
    result(data, "P2.train.bf16")["reason"] = reason
    assert dict(judged(data).problems) == {"P2.train.bf16": "not run, and no reason given"}


def test_a_failure_that_is_called_a_skip_is_seen() -> None:
    data = whole()
    metric(data, "P2.train.f32", "loss")["value"] = "1"
    result(data, "P2.train.f32").update({"state": "not-run", "reason": "it could not"})
    verdict = judged(data)
    assert "P2.train.f32" in dict(verdict.problems)
    assert verdict.level == "E1"


def test_of_two_results_with_one_id_the_bad_one_counts() -> None:
    data = whole()
    bad = copy.deepcopy(result(data, "P2.train.f32"))
    bad["metrics"][0]["value"] = "1"
    for at in (0, len(data["results"])):
        edited = copy.deepcopy(data)
        edited["results"].insert(at, bad)
        assert judged(edited).level == "E1"


def test_an_unknown_check_may_be_there_and_may_fail() -> None:
    data = whole()
    taken_down = {"name": "x", "value": "2", "gate": None, "relation": "<="}
    extra = {**STATIC, "id": "new.check", "family": "new", "metrics": [taken_down]}
    data["results"].append(extra)
    assert judged(data).level == "E2"
    extra["metrics"] = [{"name": "x", "value": "2", "gate": "1", "relation": "<="}]
    assert not judged(data).passed


# ---- faults on purpose -------------------------------------------------------------------------------

FAULTS = [one["id"] for one in REAL["faults"]]


def fault(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in data["faults"] if one["id"] == name)


def void(data: dict[str, Any], name: str) -> None:
    verdict = judged(data)
    assert [each for each, _ in verdict.problems] == [f"fault {name}"]
    assert verdict.level == "E0"


def test_every_fault_was_put_in() -> None:
    assert sorted(FAULTS) == sorted(GATES["faults"]["put_in"])


@pytest.mark.parametrize("name", FAULTS)
def test_a_missing_fault_voids_the_certificate(name: str) -> None:
    data = whole()
    data["faults"].remove(fault(data, name))
    void(data, name)


def test_an_image_that_promises_cuda_needs_the_faults_of_cuda() -> None:
    data = whole(cuda=True)
    assert judged(data).passed
    data["faults"].pop()
    assert judged(data).problems == (("fault hidden-sublibrary", "was not put in"),)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("state", ["pass", "error", "not-run"])
def test_a_fault_that_was_not_caught_voids_it(name: str, state: str) -> None:
    data = whole()
    fault(data, name)["state"] = state
    void(data, name)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_by_its_numbers_and_not_by_its_word(name: str) -> None:
    data = whole()
    for one in fault(data, name)["metrics"]:
        one["value"] = one["gate"]  # just good enough
    void(data, name)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_without_numbers_is_not_caught(name: str) -> None:
    data = whole()
    fault(data, name)["metrics"] = []
    void(data, name)


@pytest.mark.parametrize("edit", [{"gate": "1e-300"}, {"gate": None}, {"gate": "nan"}, {"relation": ">="}])
def test_a_fault_that_is_caught_by_another_gate_is_not_caught(edit: dict[str, Any]) -> None:
    data = whole()
    for one in fault(data, "lr-1.001")["metrics"]:
        one.update({"value": "1e-9", **edit})
    void(data, "lr-1.001")


def test_a_fault_that_gives_no_numbers_at_all_is_caught() -> None:
    data = whole()
    for one in fault(data, "lr-1.001")["metrics"]:
        one["value"] = "nan"
    assert judged(data).passed


# ---- where a report comes from -----------------------------------------------------------------------


def other(field: str, value: Any) -> dict[str, Any]:
    data = copy.deepcopy(REAL)
    *path, last = field.split(".")
    inner = data
    for name in path:
        inner = inner[name]
    inner[last] = value
    return data


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("image", "other", "the report is of 'other', not of 'newcomer'"),
        ("plan.device", "gpu", "answers another plan"),
        ("plan.labels", {"python": "3"}, "answers another plan"),
        ("plan.workloads", [], "answers another plan"),
        ("plan.extra", 1, "answers another plan"),
        ("suite.sha256", "0" * 64, "smoke suite (000000000000) is not this checkout's"),
        ("gates.sha256", "0" * 64, "smoke suite"),
        ("reference.sha256", "0" * 64, "smoke suite"),
    ],
)
def test_a_report_from_elsewhere(field: str, value: Any, words: str) -> None:
    with pytest.raises(VerificationFailed) as caught:
        certificate.check_origin(report(other(field, value)), REAL["plan"], KNOWN)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("schema", [0, 2, None, "1", [], 1.5, True])
def test_another_schema(schema: Any) -> None:
    with pytest.raises(VerificationFailed, match="schema"):
        report(other("schema", schema))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suite.sha256", "X" * 64),
        ("suite.sha256", "0" * 65),
        ("extra", 1),
        ("results", None),
        ("complete", "yes"),
        ("results", [{**STATIC, "state": "passed"}]),
        ("results", [{**STATIC, "extra": 1}]),
        ("results", [{**STATIC, "metrics": [{"name": "x", "value": 0}]}]),
        ("results", [{**STATIC, "metrics": [{"name": "x", "value": "0", "relation": ">"}]}]),
        ("results", [{**STATIC, "metrics": [{"name": "x", "value": "0" * 65}]}]),
    ],
)
def test_a_malformed_report(field: str, value: Any) -> None:
    with pytest.raises(VerificationFailed, match="the report is malformed"):
        report(other(field, value))


def test_a_truncated_report_anywhere() -> None:
    data = json.dumps(REAL).encode()
    for stop in range(0, len(data), 97):
        with pytest.raises(VerificationFailed):
            certificate.parse_report(data[:stop])


def test_a_report_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(VerificationFailed, match="the suite wrote no report"):
        certificate.read_report(tmp_path / "report.json")


def test_a_report_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.touch()
    os.truncate(path, certificate.LARGEST_REPORT + 1)
    with pytest.raises(VerificationFailed, match="larger than 16 MiB"):
        certificate.read_report(path)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    (path.parent / "elsewhere").write_bytes((RECORDING / "report.json").read_bytes())
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize("make", [fifo, link, Path.mkdir])
def test_what_an_image_leaves_in_place_of_a_report_is_not_followed(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "report.json")
    with pytest.raises(VerificationFailed, match="no plain file"):
        certificate.read_report(tmp_path / "report.json")


def test_a_report_is_read_from_a_file() -> None:
    assert certificate.read_report(RECORDING / "report.json") == report(REAL)


def attempt(data: bytes) -> None:
    """Whatever the bytes are: a report that can be judged, written and read back, or a refusal in two lines."""
    try:
        found = certificate.parse_report(data)
    except VerificationFailed as error:
        refusal = str(error)
        assert len(refusal.splitlines()) == 2
        return
    verdict = certificate.judge(found, KNOWN)
    assert verdict.level in certificate.LEVELS
    statement = certificate.statement(found, verdict, IMAGE, "docker")
    json.dumps(statement)


@given(st.binary())
@example(b"[" * 100000)
@example(b'{"schema": 1, "host": ' + b'{"a":' * 5000)
@example(b'"\\ud800"')
@example(b'{"schema": 1e999}')
@example(b"\xef\xbb\xbf{}")
def test_any_bytes(data: bytes) -> None:
    attempt(data)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_real_report_with_bytes_changed(data: st.DataObject) -> None:
    text = bytearray(json.dumps(REAL).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
    attempt(bytes(text))


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | st.sampled_from(["nan", "inf", "1_0", " 1", "pass", "not-run", "P2.train.f32", "fail", "1e-5", ">="])
    | st.just([])
    | st.just({})
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_real_report_with_a_part_replaced(data: st.DataObject) -> None:
    top = whole()
    inner: Any = top
    while True:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if isinstance(inner[key], dict | list) and data.draw(st.integers(0, 5)):
            inner = inner[key]
            continue
        inner[key] = data.draw(VALUES)
        break
    attempt(json.dumps(top).encode())


# ---- the Statement -----------------------------------------------------------------------------------


def stated(data: dict[str, Any]) -> dict[str, Any]:
    found = report(data)
    return json.loads(
        json.dumps(certificate.statement(found, certificate.judge(found, KNOWN), IMAGE, "docker 28 (system)"))
    )


def test_a_statement_carries_its_report() -> None:
    statement = stated(whole())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "newcomer", "digest": {"sha256": "d" * 64}}]
    predicate = statement["predicate"]
    assert predicate["achieved"] == "E2"
    assert predicate["plan"]["engine"] == "docker 28 (system)"
    assert {"level": "E3", "reason": "no GPU was asked for"} in predicate["notRun"]
    assert certificate.report_of(statement) == report(whole())


def test_what_was_not_run_on_a_gpu() -> None:
    levels = [row["level"] for row in stated(whole("gpu"))["predicate"]["notRun"]]
    assert "E3" not in levels
    assert {"E5", "E6", "P2.train.bf16"} <= set(levels)


def test_a_claim_edited_by_hand_changes_nothing() -> None:
    data = whole()
    metric(data, "P2.train.f32", "loss")["value"] = "1"
    statement = stated(data)
    statement["predicate"]["achieved"] = "E4"
    statement["predicate"]["notRun"] = []
    statement["predicate"]["marks"] = ["good"]
    verdict = certificate.judge(certificate.report_of(statement), KNOWN)
    assert verdict.level == "E1"
    assert not verdict.passed


@pytest.mark.parametrize("name", ["schema", "suite", "plan", "host", "stack", "results", "faults", "complete"])
@pytest.mark.parametrize("value", ["left out", None, 3, "x", [3]])
def test_a_malformed_statement(name: str, value: Any) -> None:
    statement = stated(whole())
    if value == "left out":
        del statement["predicate"][name]
    else:
        statement["predicate"][name] = value
    with pytest.raises(VerificationFailed) as caught:
        certificate.report_of(statement)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("statement", [{}, {"predicate": None}, {"predicate": []}, {"predicate": {"plan": {}}}])
def test_no_statement_at_all(statement: dict[str, Any]) -> None:
    with pytest.raises(VerificationFailed):
        certificate.report_of(statement)


@pytest.mark.parametrize("data", [None, b"", b"{", b"[]", b"3", b"\xff", b"[" * 100000])
def test_a_certificate_that_cannot_be_read_is_none(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "c.json").write_bytes(data)
    assert certificate.read_statement(tmp_path / "c.json") is None


def test_a_certificate_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a/b/cpu.json"
    certificate.write(path, {"a": 1})
    with pytest.raises(TypeError):
        certificate.write(path, {"a": object()})
    assert certificate.read_statement(path) == {"a": 1}
    assert [each.name for each in path.parent.iterdir()] == ["cpu.json"]


# ---- the suite ---------------------------------------------------------------------------------------


def test_the_suite_of_this_checkout(root: Path) -> None:
    known = Known.read(root)
    assert known.gates["schema"] == 1
    assert set(known.gates["faults"])
    assert known.suites == {name: suite.digest(root / "smoke", name) for name in plans.frameworks()}
    assert known.suite_of({"framework": {"name": "torch"}}) == known.suites["torch"]
    for other in ({}, {"framework": "torch"}, {"framework": {"name": ["torch"]}}, {"framework": {"name": "nobody"}}):
        assert known.suite_of(other) == ""


def test_the_report_type_is_closed() -> None:
    assert all(kind.__struct_config__.forbid_unknown_fields for kind in (Report, certificate.Result))
    assert msgspec.structs.fields(Report)[0].name == "schema"


def test_skips_alone_are_no_pass() -> None:
    """A run in which nothing failed because too little was run does not pass at the level that was asked for."""
    data = whole()
    digits = result(data, "digits.cnn")
    digits.update(state="not-run", reason="no time", metrics=[], requested="", observed="")
    verdict = judged(data)
    assert verdict.level == "E1"
    assert not verdict.passed
    assert [name for name, _ in verdict.problems] == ["level"]
