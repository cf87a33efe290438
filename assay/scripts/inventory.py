"""What is in an image, with licences: runs INSIDE the images (Python 3.9, standard library only), for the SBOM.

``python inventory.py OUT`` writes ``{"schema": 1, "debian": [...], "python": [...]}``; each package has ``name``,
``version`` and ``licences``, as the package itself states them.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata
from pathlib import Path

SCHEMA = 1
COMMON = re.compile(r"/usr/share/common-licenses/([A-Za-z0-9][A-Za-z0-9.+-]*[A-Za-z0-9])")
FIELD = re.compile(r"^License:[ \t]*(\S[^\n]*)", re.MULTILINE)


def debian(status: Path, documents: Path) -> list[dict[str, object]]:
    """The installed Debian packages, and the licences that their copyright files name."""
    found: list[dict[str, object]] = []
    for paragraph in status.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if re.match(r"[A-Za-z-]+: ", line))
        if fields.get("Status", "").endswith(" installed"):
            found.append(
                {
                    "name": fields["Package"],
                    "version": fields["Version"],
                    "architecture": fields["Architecture"],
                    "source": source(fields),
                    "licences": licences(documents / fields["Package"] / "copyright"),
                }
            )
    return sorted(found, key=lambda one: str(one["name"]))


def source(fields: dict[str, str]) -> str:
    """The source package that a package was built of, as name@version: advisories know it by that."""
    name, _, version = fields.get("Source", fields["Package"]).partition(" (")
    return "{}@{}".format(name, version.rstrip(")") or fields["Version"])


def licences(path: Path) -> list[str]:
    """The licences that a copyright file names: in its fields where it has them, else as files it points to."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    fields = FIELD.findall(text) if "copyright-format" in text[:400] else []
    return sorted({one.strip() for one in fields or COMMON.findall(text)})


def python() -> list[dict[str, object]]:
    """The installed Python distributions, and the licences that their metadata states."""
    found: dict[str, dict[str, object]] = {}
    for one in metadata.distributions():
        name = one.metadata["Name"]
        if name:
            row: dict[str, object] = {"name": name, "version": one.version, "licences": stated(one.metadata)}
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), row)
    return [found[name] for name in sorted(found)]


def stated(fields: metadata.PackageMetadata) -> list[str]:
    """An expression, else the classifiers, else one line of free text."""
    known = {name: fields.get_all(name) or [] for name in ("License-Expression", "Classifier", "License")}
    if known["License-Expression"]:
        return [str(known["License-Expression"][0])]
    classifiers = [str(one).rpartition(" :: ")[2] for one in known["Classifier"] if str(one).startswith("License ::")]
    classifiers = [one for one in classifiers if one != "OSI Approved"]
    if classifiers:
        return sorted(set(classifiers))
    lines = str(known["License"][0]).strip().splitlines() if known["License"] else []
    return [lines[0][:120]] if lines and lines[0] != "UNKNOWN" else []


def main() -> None:
    """Write the inventory to the file that is named."""
    data = {
        "schema": SCHEMA,
        "debian": debian(Path("/var/lib/dpkg/status"), Path("/usr/share/doc")),
        "python": python(),
    }
    Path(sys.argv[1]).write_text(json.dumps(data), encoding="utf-8")


if __name__ == "__main__":
    main()
