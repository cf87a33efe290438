"""`lab`: JupyterLab on an image, in a browser."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.console import note
from assay.cli.options import certificates_root, image_names
from assay.cli.run import choice_of, session_options
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.engine import Engine, Session
    from assay.run import Choice, Images
    from assay.run.lab import Lab

GROUP = "lab"  # images/lab
INTERRUPTED = 130


@click.command("lab")
@session_options("ports", "network")
@click.option("--port", type=click.IntRange(1, 65535), help="On this machine; else the first free one from 8888 on.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.argument("image", required=False, metavar="[IMAGE|REF]", shell_complete=image_names)
def lab_command(image: str | None, port: int | None, no_browser: bool, **options: Any) -> None:
    """Open JupyterLab on an image: its notebooks run in the image's own Python.

    JupyterLab comes from an environment of its own beside the image's, which stays as it was certified. It listens on
    this machine only, and wants a token. The current folder is its folder. Ctrl-C ends it.
    """
    import tempfile

    from assay import engine, run
    from assay.run.lab import Lab

    key, plain_http = options.pop("key"), options.pop("plain_http")
    given = run.Given.read(**options)
    root = _root()
    with engine.find(note) as found, tempfile.TemporaryDirectory(prefix="assay-lab-") as folder:
        lab = Lab.new(port, Path(folder))
        images = run.Images.here(root, found)
        choice = choice_of(images, _named(images, image), (), given, key, plain_http)
        session = run.session(choice, (), given, images)
        note(run.told(choice, session))
        if not os.access(session.folder, os.W_OK):
            note(f"{session.folder} cannot be written to: no notebook can be saved there")
        with_lab = _with_lab(root, found, choice)
        wanted = lab.session(session, image=with_lab, own_network=found.kind != "embedded")
        status = _served(found, wanted, lab, no_browser)
    sys.exit(status)


def _named(images: Images, word: str | None) -> str | None:
    """The image that is asked for; a lab takes no command, so whatever is named is meant as one."""
    name, words = images.split((word,) if word else (), Path.cwd())
    if words:
        raise images.unknown(words[0])
    return name


def _served(found: Engine, wanted: Session, lab: Lab, no_browser: bool) -> int:
    """Run the lab to its end, and say where it is once it answers.

    Ctrl-C is how a lab ends. Before it answers, Ctrl-C interrupts it, whether docker, Python or JupyterLab hears it.
    """
    answered, over = threading.Event(), threading.Event()

    def tell() -> None:
        answered.set()
        _tell(lab, no_browser)

    threading.Thread(target=lab.when_it_answers, args=(tell, over), daemon=True).start()
    try:
        status = found.session(wanted)
    finally:
        over.set()
    return (0 if answered.is_set() else INTERRUPTED) if status in (0, INTERRUPTED) else status


def _root() -> Path:
    """The checkout that JupyterLab is built from: the one that the command runs in, else that of this Assay."""
    root = certificates_root()
    if not (root / "images" / GROUP).is_dir():
        raise UsageError(
            "JupyterLab is built from images/lab of a checkout, and this Assay was installed without one",
            "Run it in a clone of the repository, or install Assay from one: pip install --editable CLONE",
        )
    return root


def _with_lab(root: Path, found: Engine, choice: Choice) -> str:
    """The image with JupyterLab beside it, which is built where it is not there."""
    from assay import build, catalog
    from assay.cli.progress import BuildView
    from assay.run import lab as labs

    image = choice.image
    facts = found.image(image.digest)
    ours = facts.labels if facts and "assay.framework" in facts.labels else {}
    cat = catalog.load(root)
    lab = labs.lab_for(cat, image.image, ours.get("assay.python", ""))
    with BuildView() as view:
        build.build(cat, found, (lab.name,), view)
    if found.is_packed(image.digest):
        note(f"unpacking {image.image} first: the engine holds it compressed")
    if not labs.is_beside(found, image.digest, lab):
        note(f"putting JupyterLab beside {image.image}, which takes a minute the first time")
    return labs.beside(found, image.digest, lab)


def _tell(lab: Lab, no_browser: bool) -> None:
    note(f"JupyterLab: {lab.address} (Ctrl-C ends it)")
    if not no_browser and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        import webbrowser

        webbrowser.open(lab.page.as_uri())
