"""P0, P1 and P2 with a framework whose products, or whose training, are wrong."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from smoke import reference
from smoke.checks import exact, parity, precision
from smoke.frameworks import autograd
from tests.unit.smoke.checks.contexts import context, states


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
