from __future__ import annotations

import pytest

from assay.build.watching import phase_of
from assay.engine import Step


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("[2/3] RUN --mount=type=bind,from=common sh /run/common/install/lock.sh", "installing"),
        ("[environment 2/2] RUN sh /run/common/install/lock.sh", "installing"),
        ("[wheel 2/2] RUN set -eu; make", "compiling"),
        ("[1/2] ADD rootfs.tar /", "copying"),
        ("exporting layers", "compressing"),
        ("unpacking to docker.io/assay/torchy:latest", "unpacking"),
        ("exporting manifest sha256:0", None),
        ("[1/3] FROM docker.io/assay/base", None),
        ("[internal] load build definition from Dockerfile", None),
    ],
)
def test_a_step_begins_a_phase(name: str, phase: str | None) -> None:
    assert phase_of(Step(name)) == phase
    assert phase_of(Step(name, line="exporting layers")) is None
