"""Put what `make` built into a wheel, with the libraries that neither the base nor the CUDA stack below has.

    python3 make_wheel.py VERSION SOURCE OUT STACK FOLDER

As auditwheel does it, with two differences: a library that the base has is not brought again, and each one that is
brought comes with its Debian copyright file and a line in an SBOM. Each file finds what it needs beside itself
($ORIGIN); nothing is renamed. Runs in the build tools, at build time only; the same bits every time.
"""

import base64
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from urllib.parse import quote

TAG = "cp39-cp39-manylinux_2_31_x86_64"
SITE = "opt/env/lib/python3.9/site-packages"
# Where the loader of the base looks by itself.
FOLDERS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib")
REQUIRES = ("numpy", "protobuf<3.21", "scikit-image", "scipy", "six")


def main(version, source, out, stack, folder):
    """Write the wheel of ``out`` (by the Makefile) and ``source`` (pycaffe) for what lies below ``stack``."""
    source, out, stack = Path(source), Path(out), Path(stack)
    info = f"caffe-{version}.dist-info"
    files = {f"caffe/{name}": data for name, data in pycaffe(source, out)}
    needed = bundled([out / "lib/libcaffe.so.1", out / "_caffe.so", *sorted((out / "bin").iterdir())], stack)
    packages = {}
    for path in needed:
        files[f"caffe.libs/{path.name}"] = with_path(path, "$ORIGIN")
        package = owner(path)
        packages[package[0]] = package
    cuda = ":".join(f"$ORIGIN/../nvidia/{part}/lib" for part in ("cublas", "cuda_runtime", "cudnn", "curand"))
    files["caffe.libs/libcaffe.so.1"] = with_path(out / "lib/libcaffe.so.1", f"$ORIGIN:{cuda}")
    files["caffe/_caffe.so"] = with_path(out / "_caffe.so", "$ORIGIN/../caffe.libs")
    for path in sorted((out / "bin").iterdir()):
        where = "$ORIGIN/../lib/python3.9/site-packages"
        binary = with_path(path, f"{where}/caffe.libs:{where}/nvidia/cuda_runtime/lib")
        files[f"caffe-{version}.data/scripts/{path.name}"] = binary
    files.update({f"{info}/{name}": data for name, data in described(version, source, packages.values())})
    write(Path(folder) / f"caffe-{version}-{TAG}.whl", files, f"{info}/RECORD")


def pycaffe(source, out):
    """The files of the Python package, but its tests."""
    for path in sorted((source / "python/caffe").rglob("*")):
        name = path.relative_to(source / "python/caffe")
        if path.is_file() and name.parts[0] != "test" and path.suffix != ".cpp":
            yield name.as_posix(), path.read_bytes()
    yield "proto/__init__.py", b""
    yield "proto/caffe_pb2.py", (out / "proto/caffe_pb2.py").read_bytes()


def bundled(binaries, stack):
    """The shared libraries that these need, directly or not, and that nothing below the wheel has."""
    below = {path.name for place in FOLDERS for path in (stack / place).glob("*.so*")}
    below |= {path.name for path in (stack / SITE / "nvidia").glob("*/lib/*.so*")}
    below |= {path.name for path in binaries}
    found, waiting = {}, list(binaries)
    while waiting:
        for name in needs(waiting.pop()):
            if name not in below and name not in found:
                found[name] = locate(name)
                waiting.append(found[name])
    return [found[name] for name in sorted(found)]


def needs(path):
    """The sonames that a binary asks for."""
    return re.findall(r"\(NEEDED\).*\[(.+)\]", said("readelf", "--dynamic", "--wide", str(path)))


def locate(name):
    """Where the loader finds a library of this soname."""
    found = re.search(rf"^\t{re.escape(name)} \(libc6,x86-64.*\) => (.+)$", said("ldconfig", "-p"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{name} is needed, and the build tools have no such library")
    return Path(found.group(1))


def owner(path):
    """The Debian package that a library comes from: (name, version, source package)."""
    # Files of the merged /usr are registered under either name.
    real = path.resolve()
    for one in (real, Path("/", *real.parts[2:]) if real.parts[1] == "usr" else Path("/usr", *real.parts[1:])):
        command = ["dpkg-query", "--search", str(one)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode == 0:
            name = done.stdout.partition(":")[0]
            fields = said("dpkg-query", "--show", "--showformat=${Version} ${source:Package}", name).split()
            return (name, *fields)
    raise SystemExit(f"{path} belongs to no Debian package")


def with_path(path, folders):
    """A binary's bytes with its run path set."""
    with tempfile.NamedTemporaryFile() as copy:
        Path(copy.name).write_bytes(path.read_bytes())
        said("patchelf", "--set-rpath", folders, copy.name)
        return Path(copy.name).read_bytes()


def described(version, source, packages):
    """What stands in the .dist-info: metadata, licences, and which Debian packages are in the wheel."""
    lines = [
        "Metadata-Version: 2.4",
        "Name: caffe",
        f"Version: {version}",
        "Summary: Caffe: a fast open framework for deep learning, built with CUDA from Debian's source package",
        "License-Expression: BSD-2-Clause",
        "Requires-Python: >=3.9,<3.10",
        *(f"Requires-Dist: {one}" for one in REQUIRES),
    ]
    yield "METADATA", ("\n".join(lines) + "\n").encode()
    yield "WHEEL", f"Wheel-Version: 1.0\nGenerator: assay\nRoot-Is-Purelib: false\nTag: {TAG}\n".encode()
    yield "licenses/LICENSE", (source / "LICENSE").read_bytes()
    components = []
    for name, package_version, source_name in sorted(packages):
        yield f"licenses/debian/{name}", Path(f"/usr/share/doc/{name}/copyright").read_bytes()
        where = f"{quote(name)}@{quote(package_version, safe='')}"
        purl = f"pkg:deb/debian/{where}?arch=amd64&distro=bullseye&upstream={quote(source_name)}"
        components.append({"type": "library", "name": name, "version": package_version, "purl": purl})
    sbom = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}
    yield "sboms/debian.cdx.json", json.dumps(sbom, indent=1).encode()


def write(path, files, record):
    """Write the archive, its RECORD last; nothing in it tells when."""
    lines = []
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in sorted(files.items()):
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}\n")
            archive.writestr(member(name), data)
        archive.writestr(member(record), "".join(lines) + f"{record},,\n")


def member(name):
    """An archive's entry, with the oldest time that there is."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (0o100755 if "/scripts/" in name or ".so" in name else 0o100644) << 16
    return entry


def said(*argv):
    """What a program says; its failure ends the build."""
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
