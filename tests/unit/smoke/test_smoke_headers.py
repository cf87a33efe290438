"""Headers compiled once: by the machine's own g++."""

import shutil
import subprocess

import pytest

from smoke.kit import headers


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
def test_a_program_takes_the_compiled_form(tmp_path):
    header = headers.precompiled(["g++", "-O1"], ["vector"], tmp_path)
    (tmp_path / "program.cpp").write_text("int main() { return std::vector<int>(3).size(); }\n")
    asked = ["g++", "-O1", "-include", str(header), "-c", str(tmp_path / "program.cpp"), "-o", str(tmp_path / "o")]
    # g++ warns of a compiled form that it cannot take, and -H names each header that it reads with an x or a !.
    done = subprocess.run([*asked, "-H", "-Winvalid-pch", "-Werror"], check=True, capture_output=True, text=True)
    assert f"! {header}.gch" in done.stderr.splitlines()
    made = header.with_name(header.name + ".gch").stat().st_mtime_ns
    assert headers.precompiled(["g++", "-O1"], ["vector"], tmp_path) == header
    assert header.with_name(header.name + ".gch").stat().st_mtime_ns == made


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
def test_what_cannot_be_compiled_is_left_as_text(tmp_path):
    header = headers.precompiled(["g++"], ["no/such/header"], tmp_path)
    assert header.read_text() == "#include <no/such/header>\n"
    assert [path.name for path in tmp_path.iterdir()] == [header.name]
