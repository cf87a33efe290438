"""A declared stub of libcuda yields to every driver, however that is brought into the container.

The loader itself is asked, through ldd, in a copy of the image whose root can be written to: what the container tools
do there is done by hand, with a made-up driver. Each way is undone before the next.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.catalog.built import tag
from assay.engine import BuildRequest, RunRequest
from tests.images.conftest import Subject

pytestmark = pytest.mark.engine

DRIVER = "libcuda.so.580.65.06"
# Way -> what it does; $here is a folder with the driver and its link in it.
WAYS = {
    "no driver": "true",
    "no driver, and ldconfig ran": "ldconfig",
    "mounted into the multiarch folder, with ldconfig": "cp -P $here/* /usr/lib/x86_64-linux-gnu/; ldconfig",
    "the same without ldconfig": "cp -P $here/* /usr/lib/x86_64-linux-gnu/",
    "the same after an earlier ldconfig": "ldconfig; cp -P $here/* /usr/lib/x86_64-linux-gnu/",
    "in a folder that the loader's configuration names": "echo $here > /etc/ld.so.conf.d/00-nvcr.conf; ldconfig",
    "in a folder of LD_LIBRARY_PATH, as Apptainer does it": "export LD_LIBRARY_PATH=$here",
    "in the stub's own folder, as on hosts without multiarch": f"cp $here/{DRIVER} /usr/lib/; ldconfig",
}
SCRIPT = """set -eu
here=/driver
mkdir $here
echo 'int cuInit(unsigned flags) { return (int)flags; }' > /tmp/driver.c
gcc -shared -fPIC -Wl,-soname,libcuda.so.1 -o $here/DRIVER /tmp/driver.c
ln -s DRIVER $here/libcuda.so.1
mkdir /tmp/kept
cp /etc/ld.so.cache /tmp/kept/
cp -P /usr/lib/libcuda* /tmp/kept/
linked() { for one in PACKAGE/*.so; do ldd $one; done | sed -n 's/.*libcuda.so.1 => \\([^ ]*\\).*/\\1/p' | sort -u; }
undo() {
  rm -f /usr/lib/libcuda* /usr/lib/x86_64-linux-gnu/libcuda* /etc/ld.so.conf.d/00-nvcr.conf
  cp -P /tmp/kept/libcuda* /usr/lib/
  cp /tmp/kept/ld.so.cache /etc/
}
"""


@pytest.fixture(scope="module")
def linked(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Way -> the file that the framework's libraries are linked with there."""
    if subject.image.labels.get("libcuda") != "stub":
        pytest.skip(f"{subject.image.name} declares no stub")
    assert subject.image.framework is not None
    folder = tmp_path_factory.mktemp("stub")
    site = f"/opt/env/lib/python{subject.image.labels['python']}/site-packages"
    script = SCRIPT.replace("DRIVER", DRIVER).replace("PACKAGE", f"{site}/{subject.image.framework.module}")
    for way, done in WAYS.items():
        told = f'for one in $(linked); do echo "{way}=$(readlink -f $one)"; done'
        script += f"(set +e; {done}; {told}) >> /linked\nundo\n"
    (folder / "script").write_text(script)
    (folder / "Dockerfile").write_text(
        f"FROM {tag(subject.image.name, 'latest')}\nUSER 0\n"
        "RUN --mount=type=bind,source=script,target=/run/script sh /run/script\nUSER 1000:1000\n"
    )
    name = "trial/stub:ways"
    subject.running.build(BuildRequest(name, folder / "Dockerfile", folder), lambda _: None)
    try:
        ran = subject.running.run(RunRequest(name, ("cat", "/linked")))
    finally:
        subject.running.remove(name)
    assert ran.exit_code == 0, ran.output
    return dict(line.split("=") for line in ran.output.splitlines())


@pytest.mark.parametrize("way", WAYS)
def test_the_stub_yields(way: str, linked: dict[str, str]) -> None:
    found = Path(linked[way]).name
    assert (found == DRIVER) == (not way.startswith("no driver")), found
    assert found.startswith("libcuda")
