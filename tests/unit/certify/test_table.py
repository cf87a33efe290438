"""The support table: from certificates, computed, and in the README as it is generated."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay import catalog, certificate
from assay.catalog.toml import Support
from assay.certificate import Suite, Suites
from assay.certify import table
from assay.cli import console
from assay.errors import AssayError, UsageError, VerificationFailed
from tests.conftest import ROOT
from tests.unit.certificate import reports
from tests.unit.repository import LITERALS, repository


def kept(folder: Path, image: str, device: str = "cpu", **edit: Any) -> Path:
    """A certificate made of the recorded report."""
    plan = reports.a_plan(device=device, image=image, labels={"python": "3.13"})
    statement = reports.stated(reports.written(plan))
    statement["predicate"].update(edit)
    path = folder / image / f"{device}.json"
    certificate.write(path, statement)
    return path


def test_an_image_that_drifted_is_not_in_the_table(tmp_path: Path) -> None:
    made = tmp_path / "build/certificates"
    kept(made, "one")
    path = kept(made, "two")
    data = json.loads(path.read_text())
    data["predicate"]["image"]["inputs"] = {"drift/base/trixie/libc6": "2.41-12 -> 2.41-13"}
    path.write_text(json.dumps(data))
    for refused in (lambda: table.keep(tmp_path), lambda: table.rows(made, reports.SUITES)):
        with pytest.raises(UsageError, match=r"has drifted: drift/base/trixie/libc6 2\.41-12 -> 2\.41-13") as caught:
            refused()
        assert len(str(caught.value).splitlines()) == 2
    assert not (tmp_path / "certificates").exists(), "none is kept of several that cannot all be"


def test_the_table_says_until_when_the_suite_is_supported(tmp_path: Path) -> None:
    kept(tmp_path, "one")
    kept(tmp_path, "two")
    like = next(iter(catalog.load(ROOT).images.values()))
    images = {
        "one": dataclasses.replace(like, supported_until="2028-06", support=Support("2020-01", "gone")),
        "two": dataclasses.replace(like, supported_until=None, support=Support("2098-01", "not yet")),
    }
    cells = [row.cells() for row in table.rows(tmp_path, reports.SUITES, images)]
    assert [row[table.COLUMNS.index("Debian until")] for row in cells] == ["2028-06", "-"]
    assert [row[0] for row in cells] == ["`one` (ended 2020-01)", "`two`"]


def test_a_row_for_each_image_and_its_devices(tmp_path: Path) -> None:
    kept(tmp_path, "one")
    kept(tmp_path, "two")
    kept(tmp_path, "two", "gpu")
    first, second = table.rows(tmp_path, reports.SUITES)
    assert (first.image, second.image) == ("`one`", "`two`")
    assert first.levels == "E2 (cpu)"
    assert second.levels == "E2 (cpu), E3 (gpu)"
    assert first.cuda == "none"
    assert first.served == "CPU only"


def test_another_processor_has_a_row_and_a_place_of_its_own(tmp_path: Path) -> None:
    """Nothing that was kept for the first one is overwritten on a machine of the other."""
    first = tmp_path / "certificates"
    kept(first, "one")
    before = (first / "one/cpu.json").read_bytes()
    path = kept(tmp_path / "build/certificates", "one")
    data = json.loads(path.read_text())
    data["predicate"]["image"]["platform"] = "linux/arm64"
    path.write_text(json.dumps(data))
    (tmp_path / "smoke").symlink_to(ROOT / "smoke")
    (tmp_path / "assay/suites").mkdir(parents=True)
    table.keep(tmp_path)
    assert (first / "one/cpu.json").read_bytes() == before
    assert json.loads((first / "one/arm64/cpu.json").read_text()) == data
    assert [row.image for row in table.rows(first, reports.SUITES)] == ["`one`", "`one` on linux/arm64"]


def test_a_level_is_computed_and_never_read(tmp_path: Path) -> None:
    kept(tmp_path, "one", achieved="E1")
    (row,) = table.rows(tmp_path, reports.SUITES)
    assert row.levels == "E2 (cpu)"
    kept(tmp_path, "one", achieved="E6")  # and who claims more than there is has nothing
    (row,) = table.rows(tmp_path, reports.SUITES)
    assert row.levels == "E0 (cpu)"


def test_the_suite_of_what_is_kept_is_kept_too(tmp_path: Path) -> None:
    """The certificates that come with Assay are judged by the suite that they were made with, whatever follows it."""
    repository(tmp_path)
    kept(tmp_path / "build/certificates", "one")
    table.keep(tmp_path)
    assert (tmp_path / "certificates/one/cpu.json").is_file()
    (path,) = (tmp_path / "assay/suites").iterdir()
    assert msgspec.json.decode(path.read_bytes(), type=Suite) == Suite.read(tmp_path)
    table.keep(tmp_path)
    assert list((tmp_path / "assay/suites").iterdir()) == [path]
    (tmp_path / "smoke/frameworks/torch.py").write_text(LITERALS + "# more\n")
    table.keep(tmp_path)
    assert len(list((tmp_path / "assay/suites").iterdir())) == 2
    known = Suites.read(tmp_path, tmp_path / "assay/suites")
    assert len(known.all) == 3


def test_capabilities_in_order_with_a_star_for_those_in_part(tmp_path: Path) -> None:
    stack = {"framework": "torch 1", "served": {"wholly": ["12.0", "8.0", "9.0a"], "partly": ["7.5"]}}
    kept(tmp_path, "one", stack=stack)
    (row,) = table.rows(tmp_path, reports.SUITES)
    assert row.served == "7.5*, 8.0, 9.0a, 12.0"


def test_where_the_machine_code_ends_is_said(tmp_path: Path) -> None:
    served = {"wholly": ["8.0"], "partly": [], "unserved": "no code for compute capability 9.0 and later"}
    kept(tmp_path, "one", stack={"framework": "mxnet 1", "served": served})
    (row,) = table.rows(tmp_path, reports.SUITES)
    assert row.served == "8.0; no code for compute capability 9.0 and later"


def test_what_is_no_certificate_is_said(tmp_path: Path) -> None:
    kept(tmp_path, "one").write_text("{")
    with pytest.raises(UsageError, match="no certificate"):
        table.rows(tmp_path, reports.SUITES)
    kept(tmp_path, "one").write_text(json.dumps({"predicate": {}}))
    with pytest.raises(VerificationFailed):
        table.rows(tmp_path, reports.SUITES)


PATHS = (
    ("predicate",),
    *(("predicate", name) for name in ("image", "plan", "host", "stack", "results", "faults", "suite")),
    *(("predicate", "image", name) for name in ("inputs", "diffIDs", "platform")),
    *(("predicate", "plan", name) for name in ("labels", "framework", "workloads")),
    ("predicate", "plan", "labels", "cuda"),
    *(("predicate", "stack", name) for name in ("framework", "least_driver", "served")),
    *(("predicate", "stack", "served", name) for name in ("wholly", "partly", "unserved")),
    ("subject", 0, "name"),
)
JUNK = (None, 1, "x", "[/x]", "9" * 5000, "\ud800", "a\n| b |\n<b>", [], [None], ["9" * 5000], ["[/x]"], {"a": None})


@pytest.mark.parametrize("path", PATHS)
def test_whatever_a_certificate_holds_it_is_a_row_or_two_lines(
    tmp_path: Path, path: tuple[Any, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    one = kept(tmp_path, "one", stack={"framework": "torch 1", "least_driver": "580", "served": {"wholly": []}})
    text = one.read_text()
    for junk in JUNK:
        data = inner = json.loads(text)
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = junk
        one.write_text(json.dumps(data))
        try:
            made = table.rows(tmp_path, reports.SUITES)
        except AssayError:  # which is two lines
            continue
        lines = table.markdown(made).splitlines()
        assert len(lines) == 3
        assert len(re.findall(r"(?<!\\)\|", lines[2])) == len(table.COLUMNS) + 1
        assert "<b>" not in lines[2]
        capsys.readouterr()
        console.say_table(table.COLUMNS, (row.cells() for row in made))
        assert ("[/x]" in capsys.readouterr().out) == any("[/x]" in cell for cell in made[0].cells())


def test_a_pipe_among_the_certificates_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cpu.json")
    with pytest.raises(UsageError, match="no certificate"):
        table.rows(tmp_path, reports.SUITES)


def test_a_certificate_of_an_earlier_build_is_none_of_todays(tmp_path: Path) -> None:
    """The image of today was trained on the CPU only; one of before, on a GPU too."""
    kept(tmp_path, "one", timeCreated="2026-01-02T00:00:00Z")
    path = kept(tmp_path, "one", "gpu", timeCreated="2026-01-02T00:30:00+01:00")
    data = json.loads(path.read_text())
    data["subject"][0]["digest"]["sha256"] = "e" * 64
    path.write_text(json.dumps(data))
    (row,) = table.rows(tmp_path, reports.SUITES)
    assert row.levels == "E2 (cpu)"


def test_it_goes_between_its_marks_and_again_changes_nothing() -> None:
    readme = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    once = table.inserted(readme, "| new |\n")
    assert once == f"before\n{table.BEGIN}\n| new |\n{table.END}\nafter\n"
    assert table.inserted(once, "| new |\n") == once
    with pytest.raises(UsageError, match="no marks"):
        table.inserted("nothing", "")


def test_the_readme_has_the_table_of_the_kept_certificates() -> None:
    """`assay table --write` makes it; it is never written by hand."""
    made = table.rows(ROOT / "certificates", Suites.read(ROOT), catalog.load(ROOT).images)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert made, "no certificate is kept in certificates/"
    assert table.inserted(readme, table.markdown(made)) == readme
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert table.inserted(cited, table.citation(made), table.CITED) == cited


def test_the_citation_is_one_by_its_format() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.citation-file-format", "CITATION.cff"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
