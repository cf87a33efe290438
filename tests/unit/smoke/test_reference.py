"""The reference is the yardstick: so it is checked by finite differences, and against another program."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from smoke import gates, reference
from smoke.frameworks import FAULTS
from smoke.frameworks import autograd as framework

PROBLEM = reference.problem()
RIGHT = reference.train(PROBLEM)
GATES = gates.load()["parity"]


@pytest.mark.parametrize("name", reference.NAMES)
def test_gradients_are_those_of_finite_differences(name):
    loss, gradients = reference.loss_and_gradients(PROBLEM.weights, PROBLEM.images, PROBLEM.labels)
    step = 1e-5
    for index in np.random.RandomState(0).randint(0, PROBLEM.weights[name].size, 5):
        ahead, behind = (_loss_with(name, index, by) for by in (step, -step))
        assert gradients[name].flat[index] == pytest.approx((ahead - behind) / (2 * step), rel=1e-6, abs=1e-9)
    assert math.isfinite(loss)


def _loss_with(name, index, by):
    moved = np.array(PROBLEM.weights[name])
    moved.flat[index] += by
    weights = {**PROBLEM.weights, name: moved}
    return reference.loss_and_gradients(weights, PROBLEM.images, PROBLEM.labels)[0]


def test_training_agrees_with_autograd_in_float64():
    errors = reference.errors(framework.train_parity(PROBLEM, "f64", ""), RIGHT, PROBLEM.weights)
    assert max(errors.values()) < 1e-12


@pytest.mark.parametrize("seed", range(1, 4))
def test_autograd_in_float32_is_within_the_gates_for_other_seeds_too(seed):
    problem = reference.problem(seed)
    found = framework.train_parity(problem, "f32", "")
    errors = reference.errors(found, reference.train(problem), problem.weights)
    assert all(errors[name] <= float(GATES["f32"][name]) for name in errors), errors


def test_the_problem_is_one_that_is_learned():
    assert RIGHT["losses"][-1] < RIGHT["losses"][0] / 2


@pytest.mark.parametrize("name", ["images", *reference.NAMES])
def test_the_grid_fits_bfloat16s_neighbours(name):
    """Eleven significant bits hold every value: so tf32 and float16 round none of the problem's own numbers."""
    values = PROBLEM.images if name == "images" else PROBLEM.weights[name]
    assert np.array_equal(values, values.astype(np.float16).astype(np.float64))


@pytest.mark.parametrize(
    "wrong",
    [
        dataclasses.replace(PROBLEM, lr=PROBLEM.lr * 1.001),
        dataclasses.replace(PROBLEM, momentum=PROBLEM.momentum * 1.001),
        dataclasses.replace(PROBLEM, weights={name: value + 1e-4 for name, value in PROBLEM.weights.items()}),
        dataclasses.replace(PROBLEM, images=PROBLEM.images * 1.001),
        dataclasses.replace(PROBLEM, labels=np.roll(PROBLEM.labels, 1)),
    ],
    ids=["lr", "momentum", "weights", "images", "labels"],
)
def test_what_is_wrong_in_the_training_breaks_the_float32_gates(wrong):
    errors = reference.errors(reference.train(wrong), RIGHT, PROBLEM.weights)
    assert errors["dW"] > 10 * float(GATES["f32"]["dW"])


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_framework_puts_wrong_breaks_the_float32_gates(fault):
    errors = reference.errors(framework.train_parity(PROBLEM, "f32", fault), RIGHT, PROBLEM.weights)
    assert errors["dW"] > 4 * float(GATES["f32"]["dW"])
    assert errors["grad"] > 4 * float(GATES["f32"]["grad"])


def test_convolution_and_pooling_by_hand():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    w = np.zeros((1, 1, 3, 3))
    w[0, 0, 0, 2] = 1  # the upper right of the window: a convolution that flips its kernel would take the lower left
    assert reference.conv(x, w).tolist() == [[[[2.0, 3.0], [6.0, 7.0]]]]
    assert reference.pool(x).tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]


def test_nan_stays_nan_in_the_worst_case():
    found = {**RIGHT, "losses": [math.nan, *RIGHT["losses"][1:]]}
    assert math.isnan(reference.errors(found, RIGHT, PROBLEM.weights)["loss"])


def test_a_training_that_lacks_something_is_refused():
    with pytest.raises(ValueError, match="19 losses, expected 20"):
        reference.errors({**RIGHT, "losses": RIGHT["losses"][1:]}, RIGHT, PROBLEM.weights)
    with pytest.raises(KeyError):
        reference.errors({**RIGHT, "weights": {}}, RIGHT, PROBLEM.weights)
    scalar = {**RIGHT["weights"], "conv.b": np.float64(0)}
    with pytest.raises(ValueError, match="shape"):
        reference.errors({**RIGHT, "weights": scalar}, RIGHT, PROBLEM.weights)
