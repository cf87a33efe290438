"""The verdict on reports: what a real one amounts to, and what the edits that matter most are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from assay import certificate
from assay.certificate import Verdict
from assay.certificate.gates import is_number
from assay.certificate.levels import Range
from tests.unit.certificate.edits import Base
from tests.unit.certificate.mutation import kept
from tests.unit.certificate.reports import (
    REAL,
    SUITE,
    a_plan,
    fault,
    judged,
    metric,
    report,
    result,
    whole,
    written,
)

LOW = ("tf32", "fp16", "bf16")


def able(**backends: Any) -> certificate.Suite:
    """The recorded suite, were its framework able to do all."""
    about = msgspec.structs.replace(
        SUITE.frameworks["newcomer"], cannot={}, compilers=("one", "two"), workloads=("own",)
    )
    return msgspec.structs.replace(SUITE, frameworks={"newcomer": about})


# ---- what reports amount to


def test_the_recorded_run_is_judged_as_it_was() -> None:
    assert judged(whole()) == Verdict("E2", (), judged(REAL).not_run)
    assert {name for name, _ in judged(whole()).not_run} >= {"P2.train.tf32", "static.closure"}


def test_the_levels() -> None:
    suite = able()
    assert judged(written(a_plan()), SUITE).level == "E2"
    assert judged(written(a_plan(device="gpu")), SUITE).level == "E3"  # it cannot do the low precisions, and says so
    data = written(a_plan(device="gpu"), suite)
    assert judged(data, suite) == Verdict("E4", (), ())
    metric(data, "P2.train.fp16", "loss")["value"] = "1"
    assert judged(data, suite).level == "E1"
    data["host"]["gpu"] = []
    assert judged(data, suite).level == "E0"


def test_a_gpu_level_needs_a_gpus_evidence() -> None:
    """The plan of a run on a CPU, changed to say gpu, is no run on a GPU."""
    data = whole()
    data["plan"]["device"] = "gpu"
    verdict = judged(data)
    assert verdict.level == "E0"
    told = dict(verdict.problems)
    assert (
        told["host"] == "E3 was asked for, and the host shows no gpu; E3 was asked for, and the host shows no driver"
    )
    assert told["device.gpu"] == "it is not in the report"
    data["host"] |= {"gpu": ["NVIDIA H100, 9.0, 81559 MiB"], "driver": "580"}
    assert judged(data).level == "E0"
    result(data, "device.cpu")["id"] = "device.gpu"
    assert judged(data).level == "E1"
    assert dict(judged(data).problems)["device.gpu"].startswith("asked for cpu, and it is about gpu")
    result(data, "device.gpu").update(requested="gpu", observed="gpu")
    assert "kernels 0 is not >= 1" in dict(judged(data).problems)["device.gpu"]


def test_a_level_is_reached_with_every_backend() -> None:
    data = written(a_plan(backends=["one", "two"]))
    assert judged(data) == Verdict("E2", (), judged(data).not_run)
    ids = {one["id"] for one in data["results"]}
    assert {"P0.gemm.f32.one", "P0.gemm.f32.two", "static.loaded.two", "static.closure"} <= ids
    assert {"compile.one", "compile.two"} <= ids  # the framework cannot, with either
    data["results"] = [one for one in data["results"] if one["id"] != "static.loaded.two"]
    assert judged(data).level == "E0"


@pytest.mark.parametrize("name", ["one,two", "one.two", "", " ", "1"])
def test_a_backend_is_a_name(name: str) -> None:
    """Two in one name would need the evidence of one only."""
    data = written(a_plan(backends=["one"]))
    data["plan"]["framework"]["backends"] = [name]
    assert judged(data).level == "E0"
    assert "plan" in dict(judged(data).problems)


@pytest.mark.parametrize("fact", [None, [], "", 0, True, {}, {"a": 1}])
def test_a_fact_of_the_host_is_a_text_or_a_list(fact: Any) -> None:
    data = written(a_plan(device="gpu"))
    data["host"]["gpu"] = fact
    assert judged(data).problems == (("host", "E3 was asked for, and the host shows no gpu"),)


def test_workloads_and_compilers_have_a_result_each() -> None:
    plan = a_plan(workloads=["digits", "sequence", "compile", "own"])
    gates = {**SUITE.gates, "domain": {"own": {"accuracy": "0.9"}}}
    suite = msgspec.structs.replace(able(), gates=gates)
    data = written(plan, suite)
    assert {"compile.one", "compile.two", "domain.own", "sequence.text"} <= {one["id"] for one in data["results"]}
    assert judged(data, suite).level == "E2"
    assert judged(written(plan, able()), able()).level == "E1"  # a workload that gates.json has no gate for


def test_without_cuda_there_are_no_checks_of_cuda() -> None:
    data = written(a_plan(labels={"python": "3.13"}))
    assert judged(data).level == "E2"
    assert result(data, "static.closure")["reason"] == "the image promises no CUDA"
    data["plan"]["labels"]["cuda"] = "13.2"
    assert judged(data).level == "E0"
    assert dict(judged(data).problems)["fault hidden-sublibrary"] == "was not put in"


def test_an_empty_report() -> None:
    data = whole()
    data |= {"results": [], "faults": []}
    verdict = judged(data)
    assert verdict.level == "E0"
    assert {"static.packages", "P2.train.f32", "fault lr-1.001"} <= {name for name, _ in verdict.problems}


def test_what_cannot_be_run_holds_back_a_level_that_needs_it() -> None:
    """A framework may declare that it cannot train in float32 at all. It then is not certified for that."""
    about = msgspec.structs.replace(SUITE.frameworks["newcomer"], cannot={"P2.train.f32": "it has no float32"})
    suite = msgspec.structs.replace(SUITE, frameworks={"newcomer": about})
    verdict = judged(written(a_plan(), suite), suite)
    assert verdict.level == "E1"
    assert verdict.problems == (("level", "the evidence amounts to E1, and E2 was asked for: see what was not run"),)


def test_a_failure_of_a_whole_family_says_why() -> None:
    data = whole()
    data["results"] = [one for one in data["results"] if not one["id"].startswith("P0")]
    ended = {**result(whole(), "P0.gemm.f32"), "id": "P0", "state": "error", "reason": "it was killed", "metrics": []}
    data["results"].append(ended)
    told = dict(judged(data).problems)
    assert told["P0"] == "no result of this plan has this id: it was killed"
    assert told["P0.gemm.f32"] == "it is not in the report"


@pytest.mark.parametrize(
    "plan", [{}, {"schema": 1}, {**REAL["plan"], "labels": 3}, {**REAL["plan"], "device": "tpu"}]
)
def test_a_plan_that_is_none(plan: dict[str, Any]) -> None:
    verdict = judged({**whole(), "plan": plan})
    assert verdict.level == "E0"
    assert "it is malformed" in dict(verdict.problems)["plan"]


# ---- numbers


@pytest.mark.parametrize("text", ["0", "1", "0.5", "5e-07", "1e-12", "1e+16", "0.30000000000000004"])
def test_what_the_suite_writes_is_a_number(text: str) -> None:
    assert is_number(text, Range("0", "1e18"))


@pytest.mark.parametrize(
    "text", ["", "1_0", "\u0661", " 1", "1 ", "+1", ".5", "1.", "0x1", "nan", "inf", "1e999", "-1", "1\n"]
)
def test_what_it_never_writes_is_none(text: str) -> None:
    assert not is_number(text, Range("0", "1e18"))


def test_a_count_is_whole() -> None:
    assert is_number("16", Range("0", "99", whole=True))
    assert not is_number("16.5", Range("0", "99", whole=True))
    assert not is_number("1e1", Range("0", "99", whole=True))


# ---- faults on purpose


def test_a_fault_is_caught_by_the_check_and_the_metric_that_are_meant() -> None:
    data = whole()
    one = fault(data, "lr-1.001")
    one["check"] = "static.contract"
    one["metrics"] = [{"name": "wrong", "value": "1", "gate": "0", "relation": "<="}]
    told = dict(judged(data).problems)["fault lr-1.001"]
    assert told.startswith("is to be caught by P2.train.f32, and not by static.contract")
    data = whole()
    for each in fault(data, "lr-1.001")["metrics"]:
        if each["name"] == "dW":
            each["value"] = each["gate"]
    verdict = judged(data)
    assert verdict.problems == (("fault lr-1.001", "was not caught by P2.train.f32: dW is within its gate"),)
    assert verdict.level == "E0"


def test_a_fault_that_gives_no_numbers_is_not_caught() -> None:
    data = whole()
    for each in fault(data, "lr-1.001")["metrics"]:
        each["value"] = "nan"
    assert "dW is nan, and no such value can be" in dict(judged(data).problems)["fault lr-1.001"]


# ---- the seven edits, each of which takes evidence away


def of_all_kinds() -> Base:
    """A kept certificate with CUDA, compilers and a workload of its framework's own."""
    return next(
        base
        for base in kept().values()
        if base.plan["labels"].get("cuda")
        and {"compile", "domain"} <= {one["family"] for one in base.predicate["results"]}
    )


def dropped(*families: str) -> Callable[[dict[str, Any]], None]:
    def edit(predicate: dict[str, Any]) -> None:
        predicate["results"] = [one for one in predicate["results"] if one["family"] not in families]

    return edit


def not_run(identity: str, reason: str) -> Callable[[dict[str, Any]], None]:
    def edit(predicate: dict[str, Any]) -> None:
        one = next(one for one in predicate["results"] if one["id"] == identity)
        one |= {"state": "not-run", "reason": reason, "metrics": [], "requested": "", "observed": ""}

    return edit


def without(identity: str) -> Callable[[dict[str, Any]], None]:
    def edit(predicate: dict[str, Any]) -> None:
        predicate["results"] = [one for one in predicate["results"] if one["id"] != identity]

    return edit


def no_cuda(predicate: dict[str, Any]) -> None:
    cuda = {"static.closure", "static.coverage", "static.driver", "static.loaded"}
    predicate["results"] = [one for one in predicate["results"] if one["id"] not in cuda]


SEVEN = {
    "device": (lambda predicate: predicate["plan"].update(device="gpu"), "E0", "host", "the host shows no gpu"),
    "P0.gemm.f32": (without("P0.gemm.f32"), "E1", "P0.gemm.f32", "it is not in the report"),
    "P0.conv.f32": (
        not_run("P0.conv.f32", "no time"),
        "E1",
        "P0.conv.f32",
        "not run, for no declared reason: no time",
    ),
    "imports": (not_run("imports.packages", "no time"), "E1", "imports.packages", "not run, for no declared reason"),
    "compile": (dropped("compile"), "E1", "compile.", "it is not in the report"),
    "domain": (dropped("domain"), "E1", "domain.", "it is not in the report"),
    "cuda": (no_cuda, "E0", "static.closure", "it is not in the report"),
}


@pytest.mark.parametrize("name", list(SEVEN))
def test_an_edit_that_once_kept_the_level(name: str) -> None:
    change, level, identity, said = SEVEN[name]
    base = of_all_kinds()
    statement = json.loads(json.dumps(base.statement))
    change(statement["predicate"])
    verdict = certificate.read(statement, base.alone).verdict
    print(f"{name}: {verdict.level}, {verdict.problems[0][0]}: {verdict.problems[0][1]}")
    assert verdict.level == level
    assert [what for each, what in verdict.problems if each.startswith(identity) and said in what]


def test_statements_say_what_was_not_run() -> None:
    data = written(a_plan(device="gpu"))
    verdict = judged(data)
    image = {"name": "x", "digest": "d", "configDigest": "", "diffIDs": (), "platform": "linux/amd64", "inputs": {}}
    made = certificate.statement(report(data), verdict, image, "e")
    levels = [row["level"] for row in made["predicate"]["notRun"]]
    assert "E3" not in levels
    assert {"E5", "E6", "P2.train.bf16"} <= set(levels)
