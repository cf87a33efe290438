"""`lab`: JupyterLab on an image, in a browser."""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.console import note
from assay.cli.options import checkout, image_names
from assay.cli.run import choice_of, session_options

if TYPE_CHECKING:
    from assay.engine import Engine
    from assay.run import Choice
    from assay.run.lab import Lab


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
    given = run.Given(**options)
    root = checkout()  # JupyterLab is built from there
    with engine.find(note) as found, tempfile.TemporaryDirectory(prefix="assay-lab-") as folder:
        lab = Lab.new(port, Path(folder))
        images = run.Images.here(root, found)
        choice = choice_of(images, image, (), given, key, plain_http)
        session = run.session(choice, (), given, images)
        note(run.told(choice, session))
        with_lab = _with_lab(root, found, choice)
        wanted = lab.session(session, image=with_lab, own_network=found.kind != "embedded")
        over, tell = threading.Event(), partial(_tell, lab, no_browser)
        threading.Thread(target=lab.when_it_answers, args=(tell, over), daemon=True).start()
        try:
            status = found.session(wanted)
        finally:
            over.set()
    sys.exit(status)


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
