"""The driver and the GPUs, and whether the image can use them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Optional

from smoke.installed import coverage
from smoke.installed.cuda import least_driver, numbers
from smoke.machine.driver import Driver
from smoke.preflight.finding import FAIL, OK, WARN, Finding, Promise

NO_GPU = "no GPU was asked for"
GIVE_GPU = "Start the container with --gpus all (the host needs NVIDIA's driver and its Container Toolkit)."


def gpu_findings(promise: Promise, driver: Driver, covered: Path) -> Iterator[Finding]:
    """driver, gpu and coverage."""
    if promise.device == "gpu" and not promise.cuda:
        yield Finding("driver", FAIL, "the image promises no CUDA", "Take an image with CUDA, or use --device cpu.")
        return
    yield judge_driver(promise, driver)
    yield judge_gpus(promise, driver)
    if promise.cuda:
        yield judge_coverage(driver, covered)


def judge_driver(promise: Promise, driver: Driver) -> Finding:
    """The driver is there, in the container too, and new enough for the image's CUDA."""
    version = driver.version or (driver.kernel if driver.kernel != "unknown" else "")
    least = least_driver(promise.cuda)
    facts = {"version": version, "cuda": _dotted(driver.cuda), "least": least, "image_cuda": promise.cuda}
    if not driver.library:
        return dataclasses.replace(_no_driver(promise, driver), facts=facts)
    runs = f", for CUDA up to {facts['cuda']}" if driver.cuda else ""
    shown = "driver {}{}".format(version or "of unknown version", runs)
    if not promise.cuda:
        return Finding("driver", OK, f"{shown}; the image promises no CUDA", facts=facts)
    needs = f"CUDA {promise.cuda} needs {least + ' or later' if least else 'one that is not known'}"
    if _too_old(version, least) or (driver.cuda and driver.cuda[0] < numbers(promise.cuda)[0]):
        remedy = "Install a later driver, or take an image of an older CUDA."
        return Finding("driver", FAIL, f"{shown}: too old, {needs}", remedy, facts)
    if not version and not driver.cuda:
        return Finding("driver", WARN, f"{shown}; {needs}", "Compare with what nvidia-smi says.", facts)
    return Finding("driver", OK, f"{shown}; {needs}", facts=facts)


def _too_old(version: str, least: str) -> bool:
    return bool(version and least) and numbers(version) < numbers(least)


def _no_driver(promise: Promise, driver: Driver) -> Finding:
    if promise.device != "gpu":
        return Finding("driver", OK, f"{NO_GPU}, and no driver is in the container")
    if driver.kernel:
        message = f"the machine has the driver {driver.kernel}, and libcuda.so.1 is not in the container"
        return Finding("driver", FAIL, message, GIVE_GPU)
    return Finding("driver", FAIL, "there is no NVIDIA driver", GIVE_GPU)


def _dotted(pair: Optional[tuple[int, int]]) -> str:
    return "{}.{}".format(*pair) if pair else ""


def judge_gpus(promise: Promise, driver: Driver) -> Finding:
    """There is a GPU that CUDA can use."""
    rows = [{"name": gpu.name, "capability": _dotted(gpu.capability)} for gpu in driver.gpus]
    names = ", ".join("{name} ({capability})".format_map(row).replace(" ()", "") for row in rows)
    facts = {"gpus": rows}
    if driver.problem:
        listed = f" (the driver lists {names})" if names else ""
        remedy = "See CUDA_VISIBLE_DEVICES and the --gpus option, and run nvidia-smi on the host."
        return Finding("gpu", FAIL, driver.problem + listed, remedy, facts)
    if driver.library and rows:
        return Finding("gpu", OK, names, facts=facts)
    if promise.device != "gpu":
        return Finding("gpu", OK, f"not asked for{'; there is ' + names if names else ''}", facts=facts)
    return Finding("gpu", FAIL, "no GPU is in the container", GIVE_GPU, facts)


def judge_coverage(driver: Driver, covered: Path) -> Finding:
    """The framework has code for each GPU that is there."""
    try:
        served = coverage.read(covered)
    except coverage.Stale as why:
        remedy = "Run `smoke --only static.coverage`: it reads the libraries themselves."
        return Finding("coverage", WARN, f"not known: {why}", remedy)
    answers = {gpu.capability: served.how(*gpu.capability) for gpu in driver.gpus if gpu.capability}
    gpus = {_dotted(capability): answer for capability, answer in answers.items()}
    facts = {"served": served.wholly(), "gpus": gpus}
    wholly = ", ".join(served.wholly()) or "none"
    none = "" if served.libraries else ": the framework has no code for GPUs"
    remedy = "Take an image whose framework has code for the GPU"
    lacking = _answered(answers, "not")
    if lacking:
        message = f"no code for compute capability {lacking}; served: {wholly}{none}"
        return Finding("coverage", FAIL, message, remedy + ".", facts)
    lacking = _answered(answers, "partly")
    if lacking:
        message = f"only a part of its code for compute capability {lacking}; served: {wholly}{none}"
        return Finding("coverage", WARN, message, remedy + ", or expect some functions to fail.", facts)
    beyond = "; " + served.unserved() if served.unserved() else ""
    return Finding("coverage", OK, f"code for compute capability {wholly}{beyond}", facts=facts)


def _answered(answers: Mapping[tuple[int, int], str], answer: str) -> str:
    return ", ".join(_dotted(capability) for capability in sorted(answers) if answers[capability] == answer)
