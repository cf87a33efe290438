from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoke import __main__ as command
from smoke.plan import PlanError
from smoke.report import compare, published
from smoke.report.report import Report
from smoke.report.result import Result, metric

REPORT = json.loads((Path(__file__).parents[2] / "data/report/report.json").read_text())
SHA = "ab" * 32


def statement(report):
    """As the host writes it."""
    predicate = {name: report[name] for name in ("schema", "host", "stack", "results", "faults", "complete")}
    suite = {"version": report["suite"]["version"], "digest": {"sha256": report["suite"]["sha256"]}}
    suite |= {name: report[name] for name in ("gates", "reference")}
    plan = {**report["plan"], "engine": "docker 26"}
    return {
        "_type": published.STATEMENT,
        "subject": [{"name": "x", "digest": {"sha256": SHA}}],
        "predicateType": published.PREDICATE,
        "predicate": {**predicate, "timeCreated": "2026-01-02T03:04:05Z", "suite": suite, "plan": plan},
    }


def changed(change):
    report = copy.deepcopy(REPORT)
    change(report)
    return report


def parsed(data):
    return published.parse(json.dumps(data).encode())


def result(report, identity):
    return next(one for one in report["results"] if one["id"] == identity)


def test_a_report_is_equal_to_itself():
    found = compare.compare(parsed(REPORT), REPORT)
    assert found["same_image"]
    assert found["same_device"]
    assert found["metrics"]
    assert {one["verdict"] for one in [*found["metrics"], *found["origin"]]} == {"equal"}
    assert (found["new_failures"], found["only_there"], found["only_here"]) == ([], [], [])


def test_a_statement_says_the_same_as_its_report():
    found = compare.compare(parsed(statement(REPORT)), REPORT)
    assert found.pop("subject") == "sha256:" + SHA
    assert found.pop("time") == "2026-01-02T03:04:05Z"
    bare = compare.compare(parsed(REPORT), REPORT)
    assert found == {name: value for name, value in bare.items() if name not in ("subject", "time")}


def test_the_hosts_own_statement_can_be_read():
    from assay import certificate
    from assay.certificate.statement import STATEMENT_TYPE

    report = certificate.parse_report(json.dumps(REPORT).encode())
    image = {
        "name": "x",
        "digest": "sha256:" + SHA,
        "configDigest": "",
        "diffIDs": [],
        "platform": "linux/amd64",
        "inputs": {},
    }
    data = certificate.statement(report, certificate.Verdict("E2", (), ()), image, "docker 26")
    assert compare.compare(parsed(data), REPORT)["same_image"]
    assert (published.STATEMENT, published.PREDICATE) == (STATEMENT_TYPE, certificate.PREDICATE_TYPE)


def test_a_number_that_differs_is_shown_side_by_side():
    def change(report):
        result(report, "P2.train.f32")["metrics"][0]["value"] = "0.25"

    found = compare.compare(parsed(changed(change)), REPORT)
    differing = [one for one in found["metrics"] if one["verdict"] == "differs"]
    assert [(one["id"], one["there"]) for one in differing] == [("P2.train.f32", "0.25")]
    assert "there 0.25" in compare.table(found)


def test_the_same_number_in_another_writing_is_equal():
    def change(report):
        one = result(report, "P2.train.f32")["metrics"][0]
        one["value"] = f"{float(one['value']):.20e}"

    assert {one["verdict"] for one in compare.compare(parsed(changed(change)), REPORT)["metrics"]} == {"equal"}


def test_what_fails_only_here_is_a_new_failure():
    def change(report):
        result(report, "P2.train.f32")["state"] = "fail"
        report["faults"][0]["state"] = "pass"

    fault = "fault." + REPORT["faults"][0]["id"]
    found = compare.compare(parsed(REPORT), changed(change))
    assert found["new_failures"] == ["P2.train.f32", fault]
    assert "new failures: P2.train.f32" in compare.table(found)
    assert compare.compare(parsed(changed(change)), REPORT)["new_failures"] == []


@pytest.mark.parametrize(
    ("where", "value", "what"),
    [
        (("suite", "sha256"), SHA, "suite"),
        (("gates", "sha256"), SHA, "gates"),
        (("reference", "sha256"), SHA, "reference"),
        (("plan", "packages"), {"torch": "1"}, "plan"),
        (("plan", "labels"), {"cuda": "1"}, "plan"),
        (("stack", "framework"), "torch 1", "stack.framework"),
        (("stack", "libraries"), {"libcudart.so": "12.9"}, "stack.libcudart.so"),
    ],
)
def test_what_comes_from_elsewhere_is_another_image(where, value, what):
    found = compare.compare(parsed(changed(lambda report: report[where[0]].__setitem__(where[1], value))), REPORT)
    assert [one["what"] for one in found["origin"] if one["verdict"] == "differs"] == [what]
    assert not found["same_image"]
    assert "NOT the same image" in compare.table(found)


def test_another_device_is_the_same_image():
    found = compare.compare(parsed(changed(lambda report: report["plan"].update(device="gpu"))), REPORT)
    assert (found["same_image"], found["same_device"]) == (True, False)
    assert "on another device" in compare.table(found)


def test_a_part_of_the_plan_has_no_new_failures_and_says_what_was_left_out():
    def part(report):
        report.update(results=report["results"][-1:], faults=[], complete=False)
        report["stack"].pop("framework")

    found = compare.compare(parsed(REPORT), changed(part))
    assert found["same_image"]
    assert found["new_failures"] == []
    assert len(found["only_there"]) == sum(one["state"] != "not-run" for one in REPORT["results"]) - 1


def test_what_is_printed_cannot_steer_a_terminal():
    def change(report):
        report["stack"]["framework"] = "\x1b[31mred\x7f\ud800"
        report["plan"]["\x1b[2J"] = "x"

    text = compare.table(compare.compare(parsed(changed(change)), REPORT))
    assert all(one.isprintable() or one == "\n" for one in text)
    assert text.encode()


BAD = {
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe",
    "no object": b"[1]",
    "a constant that is no number": b'{"schema": NaN}',
    "a deep one": b"[" * 100_000,
    "a rather deep one": b'{"a":' * 200 + b"1" + b"}" * 200,
    "another schema": json.dumps({**REPORT, "schema": 2}).encode(),
    "a schema that is true": json.dumps({**REPORT, "schema": True}).encode(),
    "another type": json.dumps({**statement(REPORT), "_type": "x"}).encode(),
    "another predicate": json.dumps({**statement(REPORT), "predicateType": "x"}).encode(),
    "no subject": json.dumps({**statement(REPORT), "subject": []}).encode(),
    "a state that is none": json.dumps(changed(lambda one: one["results"][0].update(state="ok"))).encode(),
    "an id that steers": json.dumps(changed(lambda one: one["results"][0].update(id="\x1b[31m"))).encode(),
    "a number that is none": json.dumps(
        changed(lambda one: one["results"][0].update(metrics=[{"name": "a", "value": "1\x1b"}]))
    ).encode(),
    "a number that is no text": json.dumps(
        changed(lambda one: one["results"][0].update(metrics=[{"name": "a", "value": 1}]))
    ).encode(),
    "too large": b" " * (published.LARGEST + 1),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_certificate_is_refused(data):
    with pytest.raises(PlanError) as wrong:
        published.parse(data)
    assert wrong.value.remedy
    assert len(str(wrong.value).splitlines()) == 1


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_certificate_or_one_error(data):
    with pytest.raises(PlanError):
        published.parse(data)


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(data, path=()):
    """Every place in a piece of JSON."""
    yield path
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in children:
        yield from places(value, (*path, key))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_certificate_with_anything_anywhere_is_compared_or_refused(data):
    whole = data.draw(st.sampled_from([REPORT, statement(REPORT)]))
    path = data.draw(st.sampled_from([one for one in places(whole) if one]))
    changed_ = copy.deepcopy(whole)
    parent = changed_
    for key in path[:-1]:
        parent = parent[key]
    if data.draw(st.booleans()):
        parent[path[-1]] = data.draw(ANY)
    else:
        del parent[path[-1]]
    try:
        there = parsed(changed_)
    except PlanError as wrong:
        said = str(wrong)
    else:
        found = compare.compare(there, REPORT)
        json.dumps(found, allow_nan=False)
        said = compare.table(found)
    assert all(one.isprintable() or one == "\n" for one in said)


# The option


@pytest.fixture
def ran(monkeypatch):
    """The command, with a run that takes no time."""
    done = Report("torchy", REPORT["plan"], {}, {}, (Result("P2.train.f32", "parity", "fail"),), (), complete=False)
    monkeypatch.setattr(command, "run", lambda plan, only: done)
    return done


@pytest.fixture
def plan(tmp_path):
    """The recorded plan, for the framework that its own, which only the integration tests have, is a copy of."""
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**REPORT["plan"], "framework": {"name": "autograd", "module": "autograd"}}))
    return str(path)


def test_json_holds_the_comparison_and_the_reports_file_does_not(tmp_path, capsys, ran, plan):
    (tmp_path / "there.json").write_text(json.dumps(statement(REPORT)))
    out = tmp_path / "report.json"
    arguments = ["--plan", plan, "--compare", str(tmp_path / "there.json"), "--json"]
    assert command.main(arguments) == 1
    assert json.loads(capsys.readouterr().out)["comparison"]["new_failures"] == ["P2.train.f32"]
    assert command.main([*arguments, "--report", str(out)]) == 0
    assert "comparison" not in json.loads(out.read_text())


def test_the_table_ends_with_the_comparison(tmp_path, capsys, ran, plan):
    (tmp_path / "there.json").write_text(json.dumps(statement(REPORT)))
    assert command.main(["--plan", plan, "--compare", str(tmp_path / "there.json")]) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("new failures: P2.train.f32")


@pytest.mark.parametrize("content", [None, b"{}", b"nonsense"])
def test_a_file_that_will_not_do_is_two_lines_before_anything_runs(tmp_path, capsys, plan, content):
    path = tmp_path / "there.json"
    if content is not None:
        path.write_bytes(content)
    assert command.main(["--plan", plan, "--compare", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_metric_of_this_suite_is_read_back():
    report = copy.deepcopy(REPORT)
    report["results"][0]["metrics"] = [metric("x", float("nan")).__dict__]
    there = published.parse(json.dumps(report).encode())
    assert there.metrics[report["results"][0]["id"], "x"] == "nan"
