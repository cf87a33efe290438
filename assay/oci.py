"""A root file system as an OCI image layout: a folder that a build can start from, and no engine's image.

Only what is needed to hand a tar to BuildKit; nothing here knows of images or engines.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

_TYPE = "application/vnd.oci.image.{}.v1+json"


def layout(tar: Path, folder: Path) -> str:
    """Make ``folder`` the layout of an image of one layer, which is ``tar``; returns the manifest's digest."""
    (folder / "blobs" / "sha256").mkdir(parents=True)
    with tar.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    link(tar, _blob(folder, digest))
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": tar.stat().st_size}
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]}}
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


def link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the two are on different disks."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _put(folder: Path, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """Write a JSON blob; returns its descriptor."""
    text = json.dumps(content).encode()
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    _blob(folder, digest).write_bytes(text)
    return {"mediaType": _TYPE.format(kind), "digest": digest, "size": len(text)}


def _blob(folder: Path, digest: str) -> Path:
    return folder / "blobs" / digest.replace(":", "/")
