"""Whether the image's OpenBLAS computes rightly."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from smoke.preflight import blas, multiply
from smoke.preflight.blas import Outcome
from smoke.preflight.finding import FAIL, OK, WARN

GOOD = {"path": "NumPy", "says": "OpenBLAS 0.3.20 for Zen", "wrong": []}
BAD = {
    "path": "/env/libopenblas.so.0",
    "says": "OpenBLAS 0.3.13 for SkylakeX",
    "wrong": ["float64 2x3 by 3x2: 1 of 4"],
}


def outcome(*products):
    return Outcome(0, json.dumps({"numpy": "1.23.5", "products": products}))


def test_this_machine_multiplies_rightly():
    found = blas.judge_blas(blas.finish(blas.start([])))
    assert found.state == OK, found.message
    assert found.facts["numpy"] == np.__version__


def test_right_products_name_what_made_them():
    found = blas.judge_blas(outcome(GOOD, {**GOOD, "path": "/b", "says": "", "unknown": "cannot be loaded"}))
    assert (found.state, found.remedy) == (OK, "")
    assert "OpenBLAS 0.3.20 for Zen" in found.message


def test_a_wrong_product_is_a_failure():
    found = blas.judge_blas(outcome(GOOD, BAD))
    assert found.state == FAIL
    assert "OPENBLAS_CORETYPE=Haswell" in found.remedy
    assert all(word in found.message for word in ("libopenblas.so.0", "0.3.13", "float64 2x3 by 3x2"))


def test_a_crash_is_a_failure():
    found = blas.judge_blas(Outcome(-4))
    assert (found.state, "Illegal instruction" in found.message) == (FAIL, True)


@pytest.mark.parametrize(
    "given",
    [
        Outcome(None, error="no process could be started"),
        Outcome(1, "", "Traceback ...\nModuleNotFoundError: No module named 'numpy'"),
        Outcome(0, "nonsense"),
        Outcome(0, "[]"),
        Outcome(0, '{"numpy": "1", "products": [{}]}'),
    ],
)
def test_what_could_not_be_tried_is_not_passed(given):
    found = blas.judge_blas(given)
    assert (found.state, bool(found.remedy)) == (WARN, True)
    assert "not known" in found.message


def test_a_process_that_cannot_be_started(monkeypatch):
    def refuse(*_arguments, **_options):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert blas.finish(blas.start([])) == Outcome(None, error="no process could be started")


def test_a_process_that_takes_too_long_is_ended(tmp_path):
    script = tmp_path / "slow.py"
    script.write_text("import time; time.sleep(600)")
    assert "more than 0.2 seconds" in blas.finish(blas.start([], script), seconds=0.2).error


def test_wrong_numbers_are_found():
    assert multiply.wrong_products(np.matmul) == []

    def wrong(a, b):
        product = a @ b
        product[-1, -1] += product.dtype == np.float32
        return product

    assert [one.split()[0] for one in multiply.wrong_products(wrong)] == ["float32", "float32"]


def test_libraries_are_those_beside_numpys(tmp_path):
    names = ("site/numpy.libs/libopenblas64_.so", "site/mxnet/libopenblas.so.0", "usr/lib/x86/libopenblas.so.0")
    for name in (*names, "site/other/libother.so"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    found = blas.libraries(tmp_path, ["", str(tmp_path / "site"), str(tmp_path / "nowhere")])
    assert found == [str(tmp_path / name) for name in names[1:]]


def test_a_library_that_cannot_be_loaded_is_named(tmp_path):
    (tmp_path / "libopenblas.so").write_text("no library")
    found = blas.judge_blas(blas.finish(blas.start([str(tmp_path / "libopenblas.so")])))
    assert [bool(one["unknown"]) for one in found.facts["products"]] == [False, True]
