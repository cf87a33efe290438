"""JupyterLab beside an image: from an environment of its own, which changes nothing of what the image has."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import secrets
import socket
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assay.catalog import Catalog, Image
from assay.catalog.built import short, tag
from assay.engine import FOLDER, BuildRequest, Engine, Session
from assay.errors import UsageError
from assay.host import paths

GROUP = "lab"  # images/lab has one for each base
LAB = "/opt/lab"
# Until it answers Ctrl-C itself, which takes it a second or two, Python would answer with a traceback.
_PROGRAM = (
    "import os, runpy, signal; signal.signal(signal.SIGINT, lambda *_: os._exit(130)); "
    "runpy.run_module('jupyterlab', run_name='__main__', alter_sys=True)"
)
START = (f"{LAB}/bin/python", "-c", _PROGRAM)
KEY = "/run/lab/token"  # in the container
LOOPBACK = "127.0.0.1"
FIRST_PORT, TRIED_PORTS = 8888, 64
_PAUSE = 0.2  # seconds between two questions whether it answers


def lab_for(catalog: Catalog, name: str, python: str) -> Image:
    """The lab that goes with an image: made for the same Python, on the same Debian.

    Raises `UsageError` where there is none, since the image is not ours.
    """
    able = [one for one in catalog.images.values() if one.name.startswith(f"{GROUP}/")]
    for lab in able:
        if lab.labels.get("python") == python:
            return lab
    why = f"which stands on Python {python}" if python else "which is no image of a framework of ours"
    raise UsageError(
        f"there is no JupyterLab for {name}, {why}",
        f"It goes with images on Python {' or '.join(one.labels['python'] for one in able)}.",
    )


def is_beside(engine: Engine, image: str, lab: Image) -> bool:
    """Whether the engine has the image of this digest with the lab added."""
    return engine.digest(tag(lab.name, f"with-{short(image)}")) is not None


def beside(engine: Engine, image: str, lab: Image) -> str:
    """Make an image that is the one of this digest with the lab added, and return its digest."""
    named, made = tag(lab.name, f"for-{short(image)}"), tag(lab.name, f"with-{short(image)}")
    engine.tag(image, named)  # a Dockerfile cannot name an image by its digest alone
    with tempfile.TemporaryDirectory(prefix="assay-lab-") as folder:
        dockerfile = Path(folder, "Dockerfile")
        dockerfile.write_text(f"FROM {named}\nCOPY --from={tag(lab.name, 'latest')} {LAB} {LAB}\n", encoding="utf-8")
        return engine.build(BuildRequest(made, dockerfile, dockerfile.parent), lambda _: None)


@dataclass(frozen=True)
class Lab:
    """A JupyterLab: its port on this machine, and the token that opens it.

    Others can see command lines, so the token is handed over in files of ``folder``, which only this user can read.
    ``held`` is a lock on the port, which no other lab takes while it is open.
    """

    port: int
    token: str
    folder: Path
    held: int = -1

    @classmethod
    def new(cls, port: int | None, folder: Path) -> Lab:
        """One on this port, or on the first that is free. Raises `UsageError` where it is taken, or all are."""
        tried = [port] if port else range(FIRST_PORT, FIRST_PORT + TRIED_PORTS)
        free = next(((one, held) for one in tried if (held := hold(one)) is not None), None)
        if free is None:
            what = f"port {port} is taken" if port else f"the ports {tried[0]} to {tried[-1]} are taken"
            raise UsageError(what, "Name another one with --port, or leave it out: a free one is looked for.")
        made = cls(free[0], secrets.token_urlsafe(24), folder, free[1])
        (folder / "token").write_text(made.token, encoding="utf-8")
        made.page.write_text(f'<meta http-equiv="refresh" content="0; url={made.address}">\n', encoding="utf-8")
        return made

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{LOOPBACK}:{self.port}/lab?token={self.token}"

    @property
    def page(self) -> Path:
        """A page that leads a browser there."""
        return self.folder / "lab.html"

    def session(self, session: Session, *, image: str, own_network: bool) -> Session:
        """The same session in an image with JupyterLab, which is its command.

        ``own_network``: the container has one, so that its port has to be opened; else it has that of this machine.
        """
        listens = "0.0.0.0" if own_network else LOOPBACK  # noqa: S104 - the container's own
        options = {
            "ServerApp.ip": listens,
            "ServerApp.port": str(self.port),
            "ServerApp.port_retries": "0",
            "ServerApp.open_browser": "False",
            "ServerApp.allow_root": "True",
            "ServerApp.answer_yes": "True",  # it ends at the first Ctrl-C
            "ServerApp.root_dir": FOLDER,
            "Application.log_level": "WARN",
        }
        settings = {
            "JUPYTER_TOKEN_FILE": KEY,
            "JUPYTER_PATH": f"{LAB}/kernels",
            "JUPYTER_RUNTIME_DIR": "/tmp/jupyter",  # noqa: S108 - the container's own
            "SHELL": "/bin/bash",
        }
        return dataclasses.replace(
            session,
            image=image,
            command=(*START, *(f"--{name}={value}" for name, value in options.items())),
            environment=(*session.environment, *(f"{name}={value}" for name, value in settings.items())),
            volumes=(*session.volumes, f"{self.folder / 'token'}:{KEY}:ro"),
            ports=(f"{LOOPBACK}:{self.port}:{self.port}",) if own_network else (),
        )

    def answers(self) -> bool:
        """Whether it answers by now: this one, which knows the token, and no other one on its port."""
        asked = urllib.request.Request(f"http://{LOOPBACK}:{self.port}/api/status")
        asked.add_header("Authorization", f"token {self.token}")
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310
                return int(answer.status) == 200
        except (OSError, urllib.error.URLError, ValueError):
            return False

    def when_it_answers(self, do: Callable[[], None], over: threading.Event) -> None:
        """Wait until it answers, and do that once; nothing where it is over before."""
        while not over.wait(_PAUSE):
            if self.answers():
                do()
                return


def hold(port: int) -> int | None:
    """A lock on a port that nobody listens on, since a lab takes seconds to listen; None where it is taken."""
    folder = paths.cache() / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_free(port):
            return held
    except BlockingIOError:
        pass
    except UsageError:
        os.close(held)
        raise
    os.close(held)
    return None


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of loopback. Raises `UsageError` for one that this user may not open."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((LOOPBACK, port))
        except PermissionError:
            raise UsageError(f"port {port} is not yours to open", "Name one above 1023 with --port.") from None
        except OSError:
            return False
    return True
