"""A Docker Engine: the one that this machine runs, or the embedded one, which Assay unpacks and starts."""

from assay.engine.builds import BuildRequest
from assay.engine.choose import Status, find, find_embedded, find_running, status
from assay.engine.containers import RunRequest, RunResult, parse_size
from assay.engine.content import require_whole
from assay.engine.contexts import at
from assay.engine.docker import Engine, ImageFacts
from assay.engine.embedded import EmbeddedEngine, install_hint
from assay.engine.progress import Step
from assay.engine.recipe import Recipe, ports_of
from assay.engine.recipes import printed
from assay.engine.sessions import FOLDER, HOME, Session
from assay.engine.shared import MOUNT, run_with_files

# fmt: off
__all__ = [
    "FOLDER", "HOME", "MOUNT",
    "BuildRequest", "EmbeddedEngine", "Engine", "ImageFacts", "Recipe", "RunRequest", "RunResult", "Session",
    "Status", "Step", "at", "find", "find_embedded", "find_running", "install_hint", "parse_size", "ports_of",
    "printed", "require_whole", "run_with_files", "status",
]
