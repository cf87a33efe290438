"""`assay lab` as a person uses it: in a browser, with a notebook that trains and plots."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import text_to_be_present_in_element
from selenium.webdriver.support.wait import WebDriverWait

from assay import engine
from assay.engine import BuildRequest
from tests.integration.conftest import ASSAY, Newcomer, assay

pytestmark = pytest.mark.engine

TRAIN = """
import sys, autograd, autograd.numpy as np
x = np.linspace(-1, 1, 50)
step = autograd.grad(lambda w: np.mean((w[0] * x + w[1] - 3 * x - 2) ** 2))
w, losses = np.zeros(2), []
for _ in range(200):
    w = w - 0.5 * step(w)
    losses.append(float(np.mean((w[0] * x + w[1] - 3 * x - 2) ** 2)))
print("trained", round(w[0], 3), round(w[1], 3), "by", sys.executable, "with", np.__file__)
"""
PLOT = "import matplotlib.pyplot as plt\nplt.plot(losses)\nplt.show()"


def notebook(path: Path, *cells: str) -> None:
    """Write a notebook that was made elsewhere, for the kernel that is called python3 everywhere."""
    code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    made = [{**code, "id": f"cell{number}", "source": text.strip()} for number, text in enumerate(cells)]
    path.write_text(json.dumps({"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))


@pytest.fixture
def project(certified: Newcomer) -> Path:
    """A folder of a person's with a notebook, in a checkout in which the newcomer is certified."""
    folder = certified.checkout / "notebooks"
    folder.mkdir(exist_ok=True)
    notebook(folder / "train.ipynb", TRAIN, PLOT)
    return folder


@contextmanager
def lab(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A running lab: the address that it names, and its process."""
    argv = [ASSAY, "lab", *options, "--no-browser", "newcomer"]
    process = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said, deadline = [""], time.monotonic() + 400
    try:
        assert process.stderr is not None
        while "JupyterLab: " not in said[-1]:
            assert process.poll() is None, "".join(said)
            assert time.monotonic() < deadline, "".join(said)
            if select.select([process.stderr], [], [], 1)[0]:
                said.append(process.stderr.readline())
        yield said[-1].split()[1], process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def shown(browser: webdriver.Remote, selector: str, number: int = 0) -> WebElement:
    """One of the visible elements of a page that a selector of CSS names, once there is one."""

    def find(page: webdriver.Remote) -> WebElement | None:
        found = [one for one in page.find_elements(By.CSS_SELECTOR, selector) if one.is_displayed()]
        return found[number] if len(found) > number else None

    patient = WebDriverWait(browser, 120, ignored_exceptions=[StaleElementReferenceException])
    return patient.until(find)


def test_a_notebook_trains_and_plots(project: Path, browser: webdriver.Remote, running: engine.Engine) -> None:
    with lab(project) as (address, process):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(address.partition("/lab")[0] + "/api/contents", timeout=10)
        browser.get(address.replace("/lab?", "/lab/tree/train.ipynb?"))
        idle = (By.CSS_SELECTOR, "[title^='Change kernel for train.ipynb']"), "Python of the image | Idle"
        WebDriverWait(browser, 120).until(text_to_be_present_in_element(*idle))
        for number in range(2):
            editor = shown(browser, ".jp-Notebook .jp-CodeCell .cm-content", number)
            editor.click()
            editor.send_keys(Keys.SHIFT, Keys.ENTER)
        text = shown(browser, ".jp-OutputArea-output pre").text
        assert text.startswith("trained 3.0 2.0 by /opt/env/bin/python with /opt/env/"), text
        assert shown(browser, ".jp-RenderedImage img").size["width"] > 200
        browser.get("about:blank")  # else it asks whether the notebook is to be saved
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert not [name for name in running.running() if name.startswith("assay-run-")]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in project.iterdir()} == {(os.geteuid(), os.getegid())}


def test_what_was_certified_is_as_it_was(project: Path, running: engine.Engine) -> None:
    """The image with JupyterLab beside it amounts to what the image does, and nothing was added to its packages."""
    with lab(project):
        pass
    (made,) = [name for name in running.tags("assay/lab/trixie") if ":with-" in name]
    done = assay(project, "certify", made)
    assert done.returncode == 0, done.stderr
    assert re.search(r": E2(, everyday)?, derived: \+0 packages", done.stdout), done.stdout


@pytest.mark.parametrize("moment", [0.5, 1.0, 2.0, 4.0])
def test_ctrl_c_before_it_answers_says_so_and_leaves_nothing(
    project: Path, running: engine.Engine, moment: float
) -> None:
    """Whether the engine, Python or JupyterLab hears it: no traceback, and one exit code."""
    with lab(project):
        pass  # all is built by now
    argv = [ASSAY, "lab", "--no-browser", "newcomer"]
    process = subprocess.Popen(argv, cwd=project, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(moment)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (0 if "JupyterLab: " in said else 130), said
    assert "Traceback" not in said
    assert not [name for name in running.running() if name.startswith("assay-run-")]


def test_what_is_named_is_meant_as_an_image(project: Path) -> None:
    done = assay(project, "lab", "--no-browser", "newcomr")
    assert done.returncode == 2
    assert "no image is called newcomr" in done.stderr
    assert "Did you mean newcomer?" in done.stderr


def test_a_port_that_is_taken_and_an_image_that_is_not_ours(
    project: Path, running: engine.Engine, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = assay(project, "lab", "--port", port, "--no-browser", "newcomer")
        assert (done.returncode, done.stderr.splitlines()[-2]) == (2, f"error: port {port} is taken")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    running.build(BuildRequest("assay-tests-bare:latest", tmp_path / "Dockerfile", tmp_path), lambda _: None)
    try:
        done = assay(project, "lab", "--no-browser", "assay-tests-bare")
    finally:
        running.remove("assay-tests-bare:latest")
    assert done.returncode == 2
    assert "there is no JupyterLab for assay-tests-bare" in done.stderr
    done = assay(project, "lab", "--no-browser", "base/trixie")  # it has a Python, and no environment of a framework
    assert done.returncode == 2
    assert "there is no JupyterLab for base/trixie" in done.stderr
