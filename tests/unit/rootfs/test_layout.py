from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from assay import rootfs

FILE = b"a root file system"


def blob(folder: Path, digest: str) -> bytes:
    data = (folder / "blobs" / digest.replace(":", "/")).read_bytes()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    return data


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    path = tmp_path / "rootfs.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("etc/hostname")
        member.size = len(FILE)
        archive.addfile(member, io.BytesIO(FILE))
    return path


def test_a_layout_leads_from_its_index_to_the_tar(tar: Path, tmp_path: Path) -> None:
    digest = rootfs.layout(tar, tmp_path / "layout")
    folder = tmp_path / "layout"
    assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (described,) = json.loads((folder / "index.json").read_text())["manifests"]
    assert described["digest"] == digest
    manifest: dict[str, Any] = json.loads(blob(folder, digest))
    config = json.loads(blob(folder, manifest["config"]["digest"]))
    (layer,) = manifest["layers"]
    data = blob(folder, layer["digest"])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        member = archive.extractfile("etc/hostname")
        assert member is not None
        assert member.read() == FILE
        assert archive.getnames() == [".assay-tools", "etc/hostname"]
    assert layer["size"] == len(data)
    assert config["rootfs"]["diff_ids"] == [layer["digest"]], "the layer is not compressed"
    assert described["size"] == len(blob(folder, digest))
    assert sorted(path.name for path in folder.iterdir()) == ["blobs", "index.json", "oci-layout"]


def test_an_interrupted_copy_is_no_obstacle_to_the_next(tar: Path, tmp_path: Path) -> None:
    first, second = (rootfs.layout(tar, tmp_path / name) for name in "ab")
    assert first != second
