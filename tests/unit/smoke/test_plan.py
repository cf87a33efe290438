from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoke import plan as plans
from smoke.plan import PlanError
from smoke.runner.families import check_known

GOOD = {
    "schema": 1,
    "image": "small",
    "device": "cpu",
    "framework": {"name": "autograd", "module": "autograd"},
    "workloads": ["digits", "sequence"],
    "labels": {"python": "3.11"},
    "packages": {"autograd": "1.9.1"},
    "seconds_per_check": 60,
}


def test_a_plan_survives_the_round_trip(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(GOOD))
    assert plans.read(path).as_json() == GOOD


def test_backends_survive_the_round_trip_and_are_told_to_the_framework():
    data = {**GOOD, "framework": {**GOOD["framework"], "backends": ["jax", "torch"]}}
    plan = plans.from_json(data)
    assert (plan.backends, plan.as_json()) == (("jax", "torch"), data)
    assert plans.backend_environment("keras", "jax") == {"KERAS_BACKEND": "jax"}
    assert plans.backend_environment("torch", "") == {}


def test_what_may_be_said_and_what_is_not_called_survive_the_round_trip():
    data = {**GOOD, "stderr": ["a .* line"], "uncalled": {"libcupti.so.13": "nothing asks it"}}
    plan = plans.from_json(data)
    assert (plan.stderr, plan.uncalled, plan.as_json()) == (("a .* line",), data["uncalled"], data)


@pytest.mark.parametrize("key", sorted(GOOD))
def test_each_key_is_needed(key):
    with pytest.raises(PlanError, match=f"no '{key}'"):
        plans.from_json({name: value for name, value in GOOD.items() if name != key})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extra": 1}, "unknown key 'extra'"),
        ({"schema": 2}, "schema 2"),
        ({"schema": True}, "schema True"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"device": ["cpu"]}, "device is"),
        ({"framework": {"name": "autograd"}}, "framework has no 'module'"),
        ({"framework": {"name": "torhc", "module": "torch"}}, "no framework 'torhc'"),
        ({"framework": {"name": "../plan", "module": "x"}}, "no framework '../plan'"),
        ({"framework": {**GOOD["framework"], "backends": []}}, "framework.backends is"),
        ({"framework": {**GOOD["framework"], "backends": "jax"}}, "framework.backends is not a list"),
        ({"framework": {**GOOD["framework"], "backends": ["jax", "jax"]}}, "twice"),
        ({"framework": {**GOOD["framework"], "backends": ["../jax"]}}, "framework.backends is"),
        ({"stderr": "all"}, "stderr is not a list"),
        ({"stderr": ["("]}, "one of stderr is '\\('"),
        ({"uncalled": ["libcupti.so.13"]}, "uncalled is not an object"),
        ({"uncalled": {"libcupti.so.13": ""}}, "uncalled.libcupti.so.13 is ''"),
        ({"workloads": ["telepathy"]}, "no workload 'telepathy'"),
        ({"workloads": ["torchvision"]}, "no workload 'torchvision' for autograd"),
        ({"workloads": ["digits", "digits"]}, "twice"),
        ({"workloads": "digits"}, "not a list"),
        ({"image": ""}, "image is ''"),
        ({"packages": {"a": None}}, "packages.a is None"),
        ({"labels": []}, "labels is not an object"),
        ({"seconds_per_check": 0}, "seconds_per_check is 0"),
        ({"seconds_per_check": True}, "seconds_per_check is True"),
        ({"seconds_per_check": 1.5}, "seconds_per_check is 1.5"),
    ],
)
def test_what_is_wrong_is_named_with_a_remedy(change, said):
    with pytest.raises(PlanError, match=said.replace("'", ".")) as caught:
        check_known(plans.from_json({**GOOD, **change}))
    assert caught.value.remedy.endswith(".")


def test_the_suite_of_an_image_says_whose_it_is(tmp_path, monkeypatch):
    for name in ("__init__.py", "_shared.py", "torch.py", "torch_capi.c"):
        (tmp_path / name).write_text("WORKLOADS = ()\n")
    monkeypatch.setattr(plans, "FRAMEWORKS", tmp_path)
    assert plans.frameworks() == ("torch",)
    with pytest.raises(PlanError, match="no framework 'autograd' in this suite") as caught:
        check_known(plans.from_json(GOOD))
    assert caught.value.remedy.startswith("This suite is that of an image of torch: ")


@pytest.mark.parametrize(("content", "said"), [(None, "no plan at"), ("{", "is not JSON"), ("[]", "not an object")])
def test_files_that_are_no_plan(tmp_path, content, said):
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PlanError, match=said):
        plans.read(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(VALUES)
def test_any_json_at_all_is_a_plan_or_a_plan_error(value):
    with pytest.raises(PlanError):
        plans.from_json(value)


@settings(deadline=None)
@given(st.sampled_from(sorted(GOOD)), VALUES)
def test_any_value_for_a_key_gives_a_plan_that_says_so_or_a_plan_error(key, value):
    changed = {**GOOD, key: value}
    with contextlib.suppress(PlanError):  # nothing else may come out
        assert plans.from_json(changed).as_json() == changed


def test_torchvision_is_a_workload_of_torch_known_without_importing_it():
    changed = {**GOOD, "framework": {"name": "torch", "module": "torch"}, "workloads": ["torchvision", "compile"]}
    check_known(plans.from_json(changed))


def test_the_variables_that_a_framework_wants_in_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user set comes last, so that it holds; in a framework's file stands what a certificate shows."""
    monkeypatch.delenv("THEANO_FLAGS", raising=False)
    assert plans.process_environment("autograd", "/t") == {"TMPDIR": "/t"}
    assert plans.process_environment("theano", "/t") == {"TMPDIR": "/t", "THEANO_FLAGS": "base_compiledir=/t,"}
    monkeypatch.setenv("THEANO_FLAGS", "floatX=float32")
    assert plans.process_environment("theano", "/t")["THEANO_FLAGS"] == "base_compiledir=/t,floatX=float32"
