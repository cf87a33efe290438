from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from assay import oci

TAR = b"a root file system"


def blob(folder: Path, digest: str) -> bytes:
    data = (folder / "blobs" / digest.replace(":", "/")).read_bytes()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    return data


def test_a_layout_leads_from_its_index_to_the_tar(tmp_path: Path) -> None:
    (tmp_path / "rootfs.tar").write_bytes(TAR)
    digest = oci.layout(tmp_path / "rootfs.tar", tmp_path / "layout")
    folder = tmp_path / "layout"
    assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (described,) = json.loads((folder / "index.json").read_text())["manifests"]
    assert described["digest"] == digest
    manifest: dict[str, Any] = json.loads(blob(folder, digest))
    config = json.loads(blob(folder, manifest["config"]["digest"]))
    (layer,) = manifest["layers"]
    assert blob(folder, layer["digest"]) == TAR
    assert layer["size"] == len(TAR)
    assert config["rootfs"]["diff_ids"] == [layer["digest"]], "the layer is not compressed"
    assert described["size"] == len(blob(folder, digest))


def test_the_same_tar_the_same_digest(tmp_path: Path) -> None:
    (tmp_path / "rootfs.tar").write_bytes(TAR)
    first, second = (oci.layout(tmp_path / "rootfs.tar", tmp_path / name) for name in "ab")
    assert first == second


def test_what_is_large_is_linked(tmp_path: Path) -> None:
    (tmp_path / "rootfs.tar").write_bytes(TAR)
    oci.layout(tmp_path / "rootfs.tar", tmp_path / "layout")
    assert (tmp_path / "rootfs.tar").stat().st_nlink == 2
