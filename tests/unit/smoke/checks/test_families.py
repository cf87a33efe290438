"""Each check with a framework that is wrong in the way that the check is there for."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from smoke import data
from smoke.checks import (
    checkpoint,
    determinism,
    digits,
    domain,
    imports,
    loader,
    sequence,
)
from smoke.checks import compile as compiled
from smoke.checks.context import Context
from smoke.frameworks import autograd
from smoke.kit.loader import batches
from smoke.plan import from_json
from tests.unit.smoke.checks.contexts import PLAN, context, states


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
    made = context(tmp_path, CANNOT={"parity": "no training", "bf16": "no such class"})
    assert made.cannot("parity", "P2.train.f32") == "no training"
    assert made.cannot("exact", "P0.gemm.bf16") == "no such class"
    assert "GPU" in made.cannot("exact", "P0.gemm.tf32")
    assert made.cannot("exact", "P0.gemm.f32") == ""
    assert made.refused("exact", "P0.gemm.f32") is None
    refused = made.refused("exact", "P0.gemm.bf16", "bf16")
    assert (refused.id, refused.family, refused.state) == ("P0.gemm.bf16", "exact", "not-run")
    assert (refused.reason, refused.requested) == ("no such class", "bf16")


@pytest.mark.parametrize(
    ("check", "family", "result"),
    [
        (digits, "digits", "digits.cnn"),
        (sequence, "sequence", "sequence.text"),
        (loader, "loader", "loader.workers"),
        (compiled, "compile", "compile"),
        (determinism, "determinism", "P3.determinism"),
        (checkpoint, "checkpoint", "checkpoint.f32"),
    ],
)
def test_a_family_that_a_framework_cannot_run_is_one_result_with_its_reason(tmp_path, check, family, result):
    made = context(tmp_path, CANNOT={family: "it has none"})
    assert list(check.run("first", made)) == [] or family not in ("determinism", "checkpoint")
    (refused,) = check.run("second", made)
    assert (refused.id, refused.family) == (result, family)
    assert (refused.state, refused.reason) == ("not-run", "it has none")
