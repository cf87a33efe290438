"""What is in an image, as the image itself says: asked once per digest, and kept under ``build/inventories``."""

from __future__ import annotations

from pathlib import Path

import msgspec

from assay import scripts
from assay.attestation.sbom import Inventory
from assay.catalog.built import tag as local_name
from assay.engine import MOUNT, Engine, RunRequest, run_with_files
from assay.errors import VerificationFailed
from assay.host import files

SECONDS = 300
LARGEST = 16 * 2**20


def inventory_of(root: Path, engine: Engine, name: str, digest: str) -> Inventory:
    """The packages in an image. Raises `VerificationFailed` where it cannot say; what is wrong is not kept."""
    kept = root / "build" / "inventories" / f"{digest.removeprefix('sha256:')}.json"
    if kept.is_file():
        return _parsed(kept.read_bytes(), kept.name, f"Delete {kept} and publish again.")
    data = _taken(engine, name)
    inventory = _parsed(data, f"what {name} says is in it", "Look into the image.")
    files.replace(kept, data)
    return inventory


def _taken(engine: Engine, name: str) -> bytes:
    request = RunRequest(
        image=local_name(name, "latest"),
        command=("python", f"{MOUNT}/inventory.py", f"{MOUNT}/inventory.json"),
        seconds=SECONDS,
    )
    given = {"inventory.py": scripts.INVENTORY.read_bytes()}
    ran, left = run_with_files(engine, request, given, "inventory.json", LARGEST)
    if ran.exit_code != 0:
        last = (ran.output.strip().splitlines() or ["it printed nothing"])[-1]
        raise VerificationFailed(f"{name} cannot say what is in it: {last}", "An SBOM is part of what is published.")
    if isinstance(left, VerificationFailed):
        raise left
    return left


def _parsed(data: bytes, what: str, todo: str) -> Inventory:
    try:
        return msgspec.json.decode(data, type=Inventory)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VerificationFailed(f"{what} is malformed: {error}", todo) from None
