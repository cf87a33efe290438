"""Whether the image's OpenBLAS computes rightly on this processor.

Old ones chose kernels for newer processors that were wrong: the 0.3.20 of NumPy 1.23 did on Sapphire Rapids.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from smoke.preflight.finding import FAIL, OK, WARN, Finding

SECONDS = 20
REMEDY = "Start the container with -e OPENBLAS_CORETYPE=Haswell."
SCRIPT = Path(__file__).with_name("multiply.py")
PLACES = ("usr/lib/*/libopenblas.so.0", "usr/lib/*/openblas*/libopenblas.so.0")


@dataclass(frozen=True)
class Outcome:
    """How the process that multiplied ended. No code: it was not started, or took too long."""

    code: Optional[int]
    out: str = ""
    error: str = ""


def libraries(root: Path = Path("/"), packages: Sequence[str] = tuple(sys.path)) -> list[str]:
    """The OpenBLAS libraries of the image: in the folders of packages, and Debian's."""
    found = [path for name in packages if name for path in Path(name).glob("*/libopenblas*.so*")]
    found += [path for pattern in PLACES for path in root.glob(pattern)]
    return sorted({os.path.realpath(path) for path in found if path.parent.name != "numpy.libs"})


def start(found: Sequence[str], script: Path = SCRIPT) -> Optional[subprocess.Popen[str]]:
    """Begins to multiply; None if no process can be started. One thread will do: kernels are what may be wrong."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-I", "-B", str(script), *found]
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
    except OSError:
        return None


def finish(running: Optional[subprocess.Popen[str]], seconds: float = SECONDS) -> Outcome:
    """Waits for the end, and no longer than so many seconds."""
    if running is None:
        return Outcome(None, error="no process could be started")
    try:
        out, error = running.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        running.kill()
        running.communicate()
        return Outcome(None, error=f"it took more than {seconds:g} seconds")
    return Outcome(running.returncode, out, error)


def judge_blas(outcome: Outcome) -> Finding:
    """The verdict on the products."""
    if outcome.code is None:
        return _unknown(outcome.error)
    if outcome.code < 0:
        name = signal.strsignal(-outcome.code) or str(-outcome.code)
        return Finding("blas", FAIL, f"multiplying matrices with NumPy crashes: {name}", REMEDY)
    try:
        data = json.loads(outcome.out)
        products = [_Product(**one) for one in data["products"]]
        version = str(data["numpy"])
    except (ValueError, KeyError, TypeError):
        lines = outcome.error.strip().splitlines() or ["it says nothing"]
        return _unknown(lines[-1])
    return _judge(version, products)


@dataclass(frozen=True)
class _Product:
    path: str
    says: str
    wrong: Sequence[str]
    unknown: str = ""


def _judge(version: str, products: Sequence[_Product]) -> Finding:
    facts: Mapping[str, Any] = {"numpy": version, "products": [one.__dict__ for one in products]}
    for one in products:
        if one.wrong:
            who = f"NumPy {version}" if one.path == "NumPy" else one.path
            says = f" ({one.says})" if one.says else ""
            return Finding("blas", FAIL, f"{who}{says} multiplies matrices wrongly: {one.wrong[0]}", REMEDY, facts)
    shown = ", ".join(dict.fromkeys(one.says for one in products if one.says)) or f"NumPy {version}"
    return Finding("blas", OK, f"matrices are multiplied rightly: {shown}", facts=facts)


def _unknown(why: str) -> Finding:
    return Finding(
        "blas",
        WARN,
        f"not known whether matrices are multiplied rightly: {why}",
        "Mend what else is wrong here; then `smoke` says more.",
    )
