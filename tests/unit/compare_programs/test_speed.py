"""The timed networks: the reference against finite differences, what the gate catches, and how steps are timed."""

import importlib
import itertools
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

COMPARE = str(Path(__file__).resolve().parents[3] / "compare")
sys.path.insert(0, COMPARE)
expected, networks, question, reference = (
    importlib.import_module(f"speed.{name}") for name in ("_expected", "_networks", "question", "_reference")
)
sys.path.remove(COMPARE)

TIMED = [cell for cell in question.CELLS if cell != "cnn/accuracy"]
SMALL = sorted({cell.rpartition("/")[0] for cell in TIMED if cell.split("/")[1] == "1"})


def loss_at(network, weights, batch):
    return reference.loss_and_gradients(network, reference.Model(weights), batch)


@pytest.mark.parametrize("network", reference.NETWORKS)
def test_each_gradient_is_the_slope_that_finite_differences_find(network):
    batch = networks.batches(network, 2)[0]
    start = {name: value.astype(np.float64) for name, value in networks.weights(network).items()}
    _, gradients = loss_at(network, start, batch)
    random = np.random.RandomState(0)
    # All weights at once, along a direction that weighs each of them as its gradient does.
    along = {
        name: random.standard_normal(one.shape) / (np.linalg.norm(one) + 1e-9) for name, one in gradients.items()
    }
    along = {name: one if np.linalg.norm(gradients[name]) > 1e-12 else 0 * one for name, one in along.items()}
    size = 1e-5 / np.sqrt(sum((one**2).sum() for one in along.values()))
    moved = [{name: start[name] + sign * size * along[name] for name in start} for sign in (1, -1)]
    above, below = (loss_at(network, one, batch)[0] for one in moved)
    slope = sum((gradients[name] * along[name]).sum() for name in start)
    assert (above - below) / (2 * size) == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_the_expected_losses_are_those_of_the_reference(name):
    network, size = name.split("/")
    given = networks.batches(network, int(size))
    found = reference.losses(network, networks.weights(network), given)
    assert found == pytest.approx(expected.LOSSES[name], rel=1e-9)


@pytest.mark.parametrize("network", reference.NETWORKS)
@pytest.mark.parametrize("fault", ["no momentum", "another rate", "a bias that is not trained"])
def test_a_fault_of_training_is_beyond_the_gate(network, fault, monkeypatch):
    if fault == "no momentum":
        monkeypatch.setattr(reference, "MOMENTUM", 0.0)
    elif fault == "another rate":
        monkeypatch.setattr(reference, "LEARNING_RATE", 0.011)
    else:
        whole = reference.loss_and_gradients

        def without(*arguments):
            loss, gradients = whole(*arguments)
            return loss, {**gradients, [name for name in gradients if name.endswith(".b")][-1]: np.zeros(10)}

        monkeypatch.setattr(reference, "loss_and_gradients", without)
    found = reference.losses(network, networks.weights(network), networks.batches(network, 1))
    with pytest.raises(AssertionError, match="above"):
        question.followed(f"{network}/1", found)


@pytest.mark.parametrize("network", ["resnet", "transformer"])
def test_another_frameworks_epsilon_is_beyond_the_gate(network, monkeypatch):
    monkeypatch.setattr(reference, "EPSILON", 1e-3)
    found = reference.losses(network, networks.weights(network), networks.batches(network, 1))
    with pytest.raises(AssertionError, match="above"):
        question.followed(f"{network}/1", found)


def test_every_network_is_timed_as_written_at_each_batch_and_otherwise_at_the_middle_one():
    written = {f"{network}/{size}/written" for network, sizes in networks.BATCHES.items() for size in sizes}
    more = {f"{n}/{sizes[1]}/{how}" for n, sizes in networks.BATCHES.items() for how in ("tuned", "compiled")}
    assert set(TIMED) == written | more
    assert {cell.rpartition("/")[0] for cell in question.CELLS if cell in TIMED} | {"cnn/accuracy"} == set(
        expected.LOSSES
    )


def test_weights_are_the_same_bits_everywhere():
    sums = {network: int(sum(v.view(np.int32).sum(dtype=np.int64) for v in networks.weights(network).values()))
            for network in networks.BATCHES}  # fmt: skip
    assert all(value.dtype == np.float32 for name in sums for value in networks.weights(name).values())
    again = {n: networks.weights(n) for n in sums}
    assert all((again[n][k] == v).all() for n in sums for k, v in networks.weights(n).items())


def trainer(losses, seconds=0.0):
    counted = itertools.count()

    def step(index):
        if seconds:
            time.sleep(seconds)
        number = next(counted)
        return losses[number] if number < len(losses) else losses[-1]

    return lambda problem: networks.Program(step, lambda inputs: np.zeros((len(inputs), 10)), ["as it is"])


def task(**settings):
    return SimpleNamespace(settings=settings, module=SimpleNamespace(), threads=0, seed=1)


def test_a_cell_gives_the_first_step_the_steady_steps_and_the_settings():
    program = trainer(expected.LOSSES["mlp/1"], seconds=0.002)
    values = question.measure("mlp/1/written", program, task())["values"]
    assert values["settings"] == ["as it is"]
    assert values["loss"] == expected.LOSSES["mlp/1"]
    assert question.LEAST <= len(values["steps"]) <= question.MOST
    assert all(step >= 0.002 for step in (values["first"], *values["steps"]))


@pytest.mark.parametrize("wrong", [[1.0], [float("nan")]])
def test_losses_that_do_not_follow_the_reference_are_no_measurement(wrong):
    with pytest.raises(AssertionError):
        question.measure("mlp/1/written", trainer(wrong), task())


def test_a_training_that_leaves_the_numbers_later_is_no_measurement():
    with pytest.raises(AssertionError, match="nan"):
        question.measure("mlp/1/written", trainer([*expected.LOSSES["mlp/1"], float("nan")]), task())


def test_a_planted_slowdown_lasts():
    own: list[float] = []

    def work():
        start = time.perf_counter()
        time.sleep(0.02)
        own.append(time.perf_counter() - start)

    taken = question.timed(work, 1.5)
    assert taken >= 1.5 * own[0]
    assert question.timed(work, 1.0) < 1.5 * 0.02 + 0.5


def test_accuracy_is_given_up_where_nothing_is_learned():
    with pytest.raises(AssertionError, match="after 440 steps"):
        question.measure("cnn/accuracy", trainer([*expected.LOSSES["cnn/accuracy"], 1.0]), task())


def test_accuracy_is_measured_of_a_training_that_follows_the_reference():
    with pytest.raises(AssertionError, match="above"):
        question.measure("cnn/accuracy", trainer([1.0]), task())
    right = reference.losses("cnn", networks.weights("cnn"), question.digits()[0][: networks.TURNS])
    assert right == pytest.approx(expected.LOSSES["cnn/accuracy"], rel=1e-9)


def test_the_digits_are_the_suites():
    train, test = question.digits()
    assert {batch.inputs.shape for batch in train} == {(32, 1, 8, 8)}
    assert len(test.labels) == 359
