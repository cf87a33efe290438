"""A headless Chromium of Debian's, with its driver, in a root file system of its own.

It is made once on each Debian, and kept in the cache folder as the embedded engine is.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver import ChromeOptions

from assay.engine import apt
from assay.host import files, paths
from assay.rootfs import bootstrap
from tests.registries import free_port, tool_missing

PACKAGES = (apt.Wanted("chromium", host_suite=True), apt.Wanted("chromium-driver", host_suite=True))
SWITCHES = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900")
SHOWN = Path("/mnt")  # where the browser finds the folder that it is to show
# The driver in its root: with processes and devices of this machine, in mounts that end with it.
ENTER = """
mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; mount -t tmpfs tmpfs "$0/tmp"
test -z "$SHOWN" || mount --bind -o ro "$SHOWN" "$0/mnt"
exec chroot "$0" /usr/bin/chromedriver "$@"
"""


def root() -> Path:
    """The root file system with the browser, bootstrapped where it is not there."""
    folder = paths.cache() / "tools" / f"browser-{apt.key_of(PACKAGES)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    return files.once(folder, _bootstrap, "Chromium to be unpacked", files.silent)


def _bootstrap(partial: Path) -> None:
    tools = bootstrap.programs()
    mirrors = [address for address, suite, _ in apt.host_sources() if suite == apt.host_codename()]
    argv = [
        *(str(tools / "usr/bin/mmdebstrap"), "--mode=root", "--variant=minbase"),
        f"--include={','.join(one.name for one in PACKAGES)},fonts-dejavu-core",
        f"--keyring={tools / 'usr/share/keyrings'}",
        '--aptopt=APT::Sandbox::User "root"',
        *(apt.host_codename(), str(partial), f"deb {mirrors[0]} {apt.host_codename()} main"),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        tool_missing([one.name for one in PACKAGES], last[0] if last else done.stderr[-200:])
    (partial / "etc/hosts").write_text("127.0.0.1 localhost\n")  # by that name the driver calls the browser


@dataclass(frozen=True)
class Driver:
    """The driver's process, which opens browsers."""

    port: int

    def open(self, *switches: str) -> webdriver.Remote:
        """A new browser; whoever asks closes it."""
        options = ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        for switch in (*SWITCHES, *switches):
            options.add_argument(switch)
        opened = webdriver.Remote(f"http://127.0.0.1:{self.port}", options=options)
        opened.command_executor.add_command("cdp", "POST", "/session/$sessionId/goog/cdp/execute")
        opened.command_executor.add_command("log", "POST", "/session/$sessionId/se/log")
        return opened


def tell(browser: webdriver.Remote, command: str, **parameters: object) -> dict[str, Any]:
    """Give the browser a command of the Chrome DevTools Protocol."""
    answer: dict[str, Any] = browser.execute("cdp", {"cmd": command, "params": parameters})["value"]
    return answer


@contextlib.contextmanager
def driver(log: Path, shown: Path | None = None) -> Iterator[Driver]:
    """Start the driver, and end it and all that it has started; its browsers see the folder ``shown`` as `SHOWN`."""
    place, port = root(), free_port()
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-ec", ENTER]
    with log.open("wb") as told:
        environment = {**os.environ, "SHOWN": str(shown or "")}
        process = subprocess.Popen([*enter, str(place), f"--port={port}"], stdout=told, stderr=told, env=environment)
    try:
        deadline = time.monotonic() + 30
        while b"started successfully" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield Driver(port)
    finally:
        process.kill()  # unshare hears nothing else, and takes all others with it
        process.wait(30)


def logged(browser: webdriver.Remote, kind: str) -> list[dict[str, Any]]:
    """What the browser has logged since it was last asked: of the kind "browser" (its console) or "performance"."""
    found: list[dict[str, Any]] = browser.execute("log", {"type": kind})["value"]
    return found
