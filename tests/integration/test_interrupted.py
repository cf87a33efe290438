"""Builds that are ended, lose their engine, or find the disk full: what is said, and that the next one goes on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from assay.catalog import read_images
from assay.engine.embedded import EmbeddedEngine
from tests.integration.conftest import ASSAY, Newcomer, assay, copy_of_newcomer

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_ended_goes_on_the_next_time(
    number: signal.Signals, newcomer: Newcomer, tmp_path: Path
) -> None:
    checkout = copy_of_newcomer(newcomer, tmp_path)
    slow(checkout)
    command = subprocess.Popen([ASSAY, "build", "newcomer"], cwd=checkout, stderr=subprocess.PIPE, text=True)
    assert command.stderr is not None
    for line in command.stderr:
        if line.startswith("newcomer: building"):
            break
    time.sleep(1.5)
    command.send_signal(number)
    said = command.communicate(timeout=60)[1]
    assert command.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130), said
    assert "Traceback" not in said
    assert "newcomer" not in read_images(checkout).images, "half a build was written down"
    again = assay(checkout, "build", "newcomer")
    assert again.returncode == 0, again.stderr
    assert "newcomer" in read_images(checkout).images


def test_an_engine_that_dies_in_mid_build_is_said_and_survived(
    own_cache: EmbeddedEngine, own_checkout: Path, tmp_path: Path
) -> None:
    checkout = shutil.copytree(own_checkout, tmp_path / "checkout")
    slow(checkout)
    command = subprocess.Popen([ASSAY, "build", "newcomer"], cwd=checkout, stderr=subprocess.PIPE, text=True)
    assert command.stderr is not None
    for line in command.stderr:
        if line.startswith("newcomer: building"):
            break
    time.sleep(1.5)
    pid = own_cache.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    said = command.communicate(timeout=120)[1]
    assert command.returncode == 3, said
    assert "the engine went away" in said
    assert "Traceback" not in said
    again = assay(checkout, "build", "newcomer")
    assert again.returncode == 0, again.stderr


def take_all_but(left: int, folder: Path) -> None:
    """Fill a disk in a file ``another``, while others write to it too."""
    with (folder / "another").open("ab") as file:
        while (size := shutil.disk_usage(folder).free - left) > 0:
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), max(size // 2, 4096))


def test_a_full_disk_is_said_and_survived(own_cache: EmbeddedEngine, own_checkout: Path, tmp_path: Path) -> None:
    checkout = shutil.copytree(own_checkout, tmp_path / "checkout")
    own_cache.data.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", str(own_cache.data)], check=True)
    try:
        # There is room when the build begins; then another program takes it.
        with subprocess.Popen(
            [ASSAY, "build", "newcomer"], cwd=checkout, stderr=subprocess.PIPE, text=True
        ) as command:
            assert command.stderr is not None
            for line in command.stderr:
                if line.startswith("newcomer: building"):
                    break
            take_all_but(20_000_000, own_cache.data)
            said = command.stderr.read()
        assert command.returncode == 4, said
        assert "the disk is full" in said, said
        status = assay(checkout, "engine", "up")
        assert status.returncode == 0, status.stderr
        assert "newcomer" not in read_images(checkout).images
        (own_cache.data / "another").unlink()
        again = assay(checkout, "build", "newcomer")
        assert again.returncode == 0, again.stderr
    finally:
        own_cache.down()
        subprocess.run(["umount", str(own_cache.data)], check=True)


def slow(checkout: Path) -> None:
    """Give the newcomer a step that takes a while, and that no cache has."""
    text = (checkout / "images/Dockerfile").read_text().partition("FROM environment\n")[0]
    first = "ARG SOURCE_DATE_EPOCH\n"
    assert first in text
    text = text.replace(first, f"{first}RUN sleep 2; : {time.time_ns()}\n", 1)
    (checkout / "images/newcomer/Dockerfile").write_text(text)
