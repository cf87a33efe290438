"""Each check with a framework that is wrong in the way that the check is there for."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import sys
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from smoke import data, gates, reference
from smoke.checks import (
    checkpoint,
    determinism,
    device,
    digits,
    domain,
    exact,
    faults,
    imports,
    loader,
    parity,
    precision,
    sequence,
)
from smoke.checks.context import Context
from smoke.frameworks import autograd
from smoke.installed import packages
from smoke.kit.loader import batches
from smoke.plan import from_json

PLAN = {
    "schema": 1,
    "image": "small",
    "device": "cpu",
    "framework": {"name": "autograd", "module": "autograd"},
    "workloads": [],
    "labels": {"python": "3"},
    "packages": {"autograd": importlib.metadata.version("autograd")},
    "seconds_per_check": 60,
}


def context(tmp_path, **changed):
    """A context whose framework is autograd with these changes."""
    made = Context(from_json(PLAN), tmp_path, deterministic=False)
    framework = SimpleNamespace(**{**vars(autograd), **changed})
    with mock.patch.dict(sys.modules, {"smoke.frameworks.autograd": framework}):
        made.load()
    return made


def states(results):
    return {one.id: one.state for one in results}


def rounded(bits):
    def keep(x):
        mantissa, exponent = np.frexp(x)
        return np.ldexp(np.round(mantissa * 2.0 ** (bits + 1)) / 2.0 ** (bits + 1), exponent)

    return lambda a, b, _: keep(np.asarray(a)) @ keep(np.asarray(b))


def half(a, b, _):
    with np.errstate(over="ignore", invalid="ignore"):
        return a.astype(np.float16).astype(np.float64) @ b.astype(np.float16).astype(np.float64)


@pytest.mark.parametrize(
    ("matmul", "name"),
    [
        (autograd.matmul, "f32"),
        (lambda a, b, _: a @ b, "f64"),
        (rounded(10), "tf32"),
        (rounded(7), "bf16"),
        (half, "fp16"),
        (rounded(5), "unknown"),
        (rounded(11), "unknown"),
    ],
)
def test_the_class_of_a_product_is_seen_whatever_was_asked_for(matmul, name):
    assert precision.observed(SimpleNamespace(matmul=matmul), "f32") == name


def test_silent_tf32_fails_p1_and_p2(tmp_path):
    wrong = context(tmp_path, matmul=rounded(10))
    assert states(precision.run("main", wrong))["P1.matmul.f32"] == "fail"
    result = next(one for one in parity.run("main", wrong) if one.id == "P2.train.f32")
    assert (result.state, result.observed) == ("fail", "tf32")


def test_p0_p1_p2_pass_and_say_what_was_not_run(tmp_path):
    right = context(tmp_path)
    for check in (exact, precision, parity):
        results = list(check.run("main", right))
        assert {one.state for one in results if one.id.endswith((".f32", ".f64"))} == {"pass"}
        low = [one for one in results if not one.id.endswith((".f32", ".f64"))]
        assert low
        assert all(one.state == "not-run" and one.reason for one in low)


@pytest.mark.parametrize("by", [1.0, math.nan])
def test_one_wrong_element_fails_p0(tmp_path, by):
    def matmul(a, b, asked):
        out = autograd.matmul(a, b, asked)
        out[3, 5] += by
        return out

    assert states(exact.run("main", context(tmp_path, matmul=matmul)))["P0.gemm.f32"] == "fail"


@pytest.mark.parametrize("by", [0.5, math.nan])
def test_a_convolution_that_rounds_to_another_integer_fails_p0(tmp_path, by):
    wrong = context(tmp_path, conv2d=lambda x, w, asked: autograd.conv2d(x, w, asked) + by)
    assert states(exact.run("main", wrong))["P0.conv.f32"] == "fail"


def test_a_wrong_shape_fails_p0(tmp_path):
    wrong = context(tmp_path, matmul=lambda a, b, p: autograd.matmul(a, b, p)[:1], conv2d=lambda *_: np.zeros((1, 1)))
    results = {one.id: one.state for one in exact.run("main", wrong)}
    assert results["P0.gemm.f32"] == results["P0.conv.f32"] == "fail"


def test_training_elsewhere_than_declared_fails_p2(tmp_path):
    def elsewhere(*arguments):
        return {**autograd.train_parity(*arguments), "device": "gpu"}

    assert states(parity.run("main", context(tmp_path, train_parity=elsewhere)))["P2.train.f32"] == "fail"


def test_all_faults_are_caught(tmp_path):
    *found, verdict = faults.run("main", context(tmp_path))
    assert {one.id: one.state for one in found} == dict.fromkeys([*faults.TRAININGS, "cpu-fallback"], "fail")
    assert verdict.state == "pass"


@pytest.mark.parametrize("blind", ["loss", "grad", "dW"])
def test_one_blind_metric_alone_lets_no_fault_through(tmp_path, blind):
    seeing = context(tmp_path)
    loosened = {**seeing.gates["parity"]["f32"], blind: "inf"}
    seeing.gates = {**seeing.gates, "parity": {**seeing.gates["parity"], "f32": loosened}}
    *_, verdict = faults.run("main", seeing)
    assert verdict.state == "pass"


def test_a_blind_check_is_found_out(tmp_path):
    blind = context(tmp_path)
    loosened = dict.fromkeys(("loss", "grad", "dW"), "1e9")
    blind.gates = {**blind.gates, "parity": {**blind.gates["parity"], "f32": loosened}}
    *found, verdict = faults.run("main", blind)
    assert {one.id for one in found if one.state == "pass"} == set(faults.TRAININGS)
    assert verdict.state == "fail"
    assert "lr-1.001" in verdict.reason


def test_a_framework_that_ignores_a_fault_is_found_out(tmp_path):
    deaf = context(tmp_path, train_parity=lambda problem, asked, _: autograd.train_parity(problem, asked, ""))
    *_, verdict = faults.run("main", deaf)
    assert verdict.reason == "let through: bias-gradient-dropped, inputs-tf32"


@pytest.mark.parametrize(
    ("declared", "evidence", "state"),
    [
        ("cpu", {"device": "cpu", "bytes": 0, "kernels": 0}, "pass"),
        ("cpu", {"device": "gpu", "bytes": 9, "kernels": 9}, "fail"),
        ("gpu", {"device": "gpu", "bytes": 9, "kernels": 9}, "pass"),
        ("gpu", {"device": "gpu", "bytes": 9, "kernels": 0}, "fail"),
        ("gpu", {"device": "gpu", "bytes": 0, "kernels": 9}, "fail"),
        ("gpu", {"device": "cpu", "bytes": 9, "kernels": 9}, "fail"),
    ],
)
def test_device_evidence(declared, evidence, state):
    assert device.judge(declared, evidence, gates.load()["device"]).state == state


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (None, "thing 1.2 is locked and not installed"),
        ({"1.3"}, "thing 1.2 is locked, 1.3 is installed"),
        ({"1.2", "1.3"}, "thing 1.2 is locked, 1.2 and 1.3 is installed"),
        ({"1.2+cpu"}, "thing 1.2 is locked, 1.2+cpu is installed"),
    ],
)
def test_a_package_that_differs_from_its_lock_is_named_with_both_versions(version, said):
    assert packages.differences({"thing": "1.2"}, {"thing": version} if version else {}) == [said]


def test_names_and_versions_are_compared_as_indexes_do():
    assert packages.differences({"The_Thing.x": "2026.7.4"}, {"the-thing-x": {"2026.07.04"}}) == []


def test_what_is_really_installed_is_found():
    assert packages.installed()["numpy"] == {np.__version__}


@pytest.mark.parametrize(("label", "right"), [("3", True), ("2", False), ("3.99", False)])
def test_the_python_label(label, right):
    assert imports.is_python(label) is right


def test_a_label_is_not_a_prefix_of_characters(monkeypatch):
    monkeypatch.setattr("platform.python_version", lambda: "3.13.5")
    assert imports.is_python("3.13")
    assert not imports.is_python("3.1")


def test_a_framework_that_does_not_import_fails_and_says_why(tmp_path, monkeypatch):
    def broken(_):
        raise ImportError("libcudnn.so.9: no such file")

    monkeypatch.setattr("importlib.import_module", broken)
    empty = Context(from_json(PLAN), tmp_path, deterministic=False)
    *_, result = imports.run("main", empty)
    assert (result.id, result.state) == ("imports.framework", "fail")
    assert "libcudnn.so.9" in result.reason
    assert not empty.importable


def test_determinism_compares_two_processes(tmp_path):
    assert list(determinism.run("first", context(tmp_path))) == []
    assert states(determinism.run("second", context(tmp_path))) == {"P3.determinism": "pass"}


def test_one_bit_is_not_deterministic(tmp_path):
    def other(*arguments):
        found = autograd.train_parity(*arguments)
        found["weights"]["conv.b"][0] = np.nextafter(found["weights"]["conv.b"][0], 1)
        return found

    list(determinism.run("first", context(tmp_path)))
    (result,) = determinism.run("second", context(tmp_path, train_parity=other))
    assert result.state == "fail"
    assert result.requested != result.observed


def _checkpointed(tmp_path, **changed):
    list(checkpoint.run("first", context(tmp_path, **changed)))
    (result,) = checkpoint.run("second", context(tmp_path, **changed))
    return result


def test_a_checkpoint_continues_as_if_never_saved(tmp_path):
    assert _checkpointed(tmp_path).state == "pass"


def test_a_checkpoint_that_forgets_the_momentum_fails(tmp_path):
    def save(problem, asked, steps, folder):
        autograd.save_checkpoint(problem, asked, steps, folder)
        with np.load(folder + "/checkpoint.npz") as saved:
            kept = {name: value * (0 if name.startswith("v") else 1) for name, value in saved.items()}
        np.savez(folder + "/checkpoint.npz", **kept)

    assert _checkpointed(tmp_path, save_checkpoint=save).state == "fail"


def test_a_checkpoint_that_is_not_loaded_fails(tmp_path):
    def forgetful(problem, asked, _):
        return autograd.train_parity(problem, asked, "")

    assert _checkpointed(tmp_path, continue_checkpoint=forgetful).state == "fail"


def test_a_checkpoint_that_is_not_written_fails(tmp_path):
    def from_memory(problem, asked, _):
        whole = autograd.train_parity(problem, asked, "")
        return {**whole, "losses": whole["losses"][10:]}

    changed = {"save_checkpoint": lambda *_: None, "continue_checkpoint": from_memory}
    result = _checkpointed(tmp_path, **changed)
    assert (result.state, result.reason) == ("fail", "bytes 0 (>= 1)")


def test_digits_left_unlearned_fail(tmp_path):
    def lazy(given, _):
        return {"predictions": np.zeros(len(given.test_labels)), "losses": [2.3], "seconds_per_step": 0.1}

    (result,) = digits.run("main", context(tmp_path, train_digits=lazy))
    assert result.state == "fail"


def test_a_diverged_loss_fails_even_with_good_predictions(tmp_path):
    def diverged(given, _):
        return {"predictions": given.test_labels, "losses": [math.nan], "seconds_per_step": 0.1}

    (result,) = digits.run("main", context(tmp_path, train_digits=diverged))
    assert result.state == "fail"


def test_too_few_predictions_are_refused():
    with pytest.raises(ValueError, match="shape"):
        digits.accuracy([1, 2], np.array([1, 2, 3]))


@pytest.mark.parametrize(
    ("on", "right", "state"),
    [
        ("digits", data.digits().test_labels, "pass"),
        ("speeches", data.speeches().test_labels, "pass"),
        ("speeches", np.zeros(len(data.speeches().test_labels)), "fail"),
    ],
)
def test_a_workload_is_judged_by_the_labels_of_what_it_trained_on(tmp_path, on, right, state):
    def trained(*_):
        return {"data": on, "predictions": right, "losses": [0.1], "seconds_per_step": 0.1}

    made = context(tmp_path, train_workload=trained, WORKLOADS=("torchtext",))
    made.plan = dataclasses.replace(made.plan, workloads=("torchtext",))
    (result,) = domain.run("main", made)
    assert (result.id, result.state) == ("domain.torchtext", state)


def test_predictions_of_other_data_than_was_trained_on_are_refused(tmp_path):
    def mistaken(*_):
        return {"predictions": data.speeches().test_labels, "losses": [0.1], "seconds_per_step": 0.1}

    made = context(tmp_path, train_workload=mistaken, WORKLOADS=("torchtext",))
    made.plan = dataclasses.replace(made.plan, workloads=("torchtext",))
    with pytest.raises(ValueError, match="shape"):
        list(domain.run("main", made))


def test_a_table_of_pairs_does_not_pass_sequence(tmp_path):
    pairs = data.pair_bits(data.lines())

    def without_memory(*_):
        return {"bits": pairs, "losses": [2.4], "seconds_per_step": 0.1}

    (result,) = sequence.run("main", context(tmp_path, train_sequence=without_memory))
    assert result.state == "fail"


def test_a_loader_without_room_fails_with_the_size_and_a_remedy(tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    (result,) = loader.run("main", context(tmp_path, load_batches=full))
    assert result.state == "fail"
    assert "of /dev/shm" in result.reason
    assert "--shm-size" in result.remedy


def test_the_suites_own_workers_do_not_start_without_room(tmp_path, monkeypatch):
    monkeypatch.setattr("smoke.machine.host.shm_room", lambda: 8 * 2**20)
    (result,) = loader.run("main", context(tmp_path))
    assert result.state == "fail"
    assert "8388608 bytes left in /dev/shm, the workers need 12582912" in result.reason


@pytest.mark.parametrize("change", [lambda sums: sums[:-1], lambda sums: sums[::-1], lambda sums: [*sums[:-1], 0.0]])
def test_a_loader_that_loses_mixes_or_damages_batches_fails(tmp_path, change):
    sums = [data.batch_sum(index) for index in range(loader.COUNT)]
    (result,) = loader.run("main", context(tmp_path, load_batches=lambda *_: change(sums)))
    assert result.state == "fail"


def test_batches_come_in_order_through_worker_processes():
    found = [float(batch.sum()) for batch in batches(3, 2)]
    assert found == [data.batch_sum(index) for index in range(3)]


def test_a_frameworks_own_reason_comes_before_the_general_one(tmp_path):
    one = context(tmp_path, CANNOT={"parity": "no training", "bf16": "no such class"})
    assert one.cannot("parity", "P2.train.f32") == "no training"
    assert one.cannot("exact", "P0.gemm.bf16") == "no such class"
    assert "GPU" in one.cannot("exact", "P0.gemm.tf32")
    assert one.cannot("exact", "P0.gemm.f32") == ""


def test_the_problem_handed_to_a_framework_is_not_what_judges_it(tmp_path):
    """A framework that changes the problem in place does not move its own yardstick."""

    def meddling(problem, asked, fault):
        problem.weights["conv.b"][:] += 1e-3
        return autograd.train_parity(problem, asked, fault)

    result = next(
        one for one in parity.run("main", context(tmp_path, train_parity=meddling)) if one.state != "not-run"
    )
    assert result.state == "fail"
    assert not np.array_equal(reference.problem().weights["conv.b"], np.zeros(8))
