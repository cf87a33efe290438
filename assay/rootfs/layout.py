"""A root file system as an OCI image layout: a folder that a build can start from, and no engine's image.

Only what is needed to hand a tar to BuildKit; nothing here knows of images or engines.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import uuid
from pathlib import Path
from typing import Any

_TYPE = "application/vnd.oci.image.{}.v1+json"
_READ = 1 << 22


def layout(tar: Path, folder: Path, architecture: str = "amd64") -> str:
    """Make ``folder`` the layout of an image of one layer, which is ``tar``; returns the manifest's digest.

    The layer begins with a file that makes it another one each time: what an interrupted build had copied of it stays
    in the engine's store for hours, and BuildKit can neither go on from there nor begin anew.
    """
    (folder / "blobs" / "sha256").mkdir(parents=True)
    digest = _put_layer(tar, folder)
    layer = {
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": digest,
        "size": _blob(folder, digest).stat().st_size,
    }
    config = {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": _TYPE.format("manifest"),
        "config": _put(folder, "config", config),
        "layers": [layer],
    }
    described = _put(folder, "manifest", manifest)
    index = {"schemaVersion": 2, "mediaType": _TYPE.format("index"), "manifests": [described]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return str(described["digest"])


def _put_layer(tar: Path, folder: Path) -> str:
    """Write the layer's blob; returns its digest."""
    hashed = hashlib.sha256()
    partial = folder / "layer"
    with tar.open("rb") as source, partial.open("wb") as target:
        member = tarfile.TarInfo(".assay-tools")
        data = uuid.uuid4().bytes
        member.size = len(data)
        block = member.tobuf() + data.ljust(tarfile.BLOCKSIZE, b"\0")
        while block:
            hashed.update(block)
            target.write(block)
            block = source.read(_READ)
    digest = f"sha256:{hashed.hexdigest()}"
    partial.rename(_blob(folder, digest))
    return digest


def _put(folder: Path, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """Write a JSON blob; returns its descriptor."""
    text = json.dumps(content).encode()
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    _blob(folder, digest).write_bytes(text)
    return {"mediaType": _TYPE.format(kind), "digest": digest, "size": len(text)}


def _blob(folder: Path, digest: str) -> Path:
    return folder / "blobs" / digest.replace(":", "/")
