"""The file that says which GPUs a framework has code for."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from smoke.installed import coverage, fatbin
from smoke.installed.cuda import CAPABILITIES
from smoke.installed.fatbin import Code


def test_coverage_answers_for_each_gpu(covered):
    served = coverage.read(covered)
    assert [served.how(9, 0), served.how(8, 6), served.how(7, 5)] == ["wholly", "partly", "not"]
    assert served.wholly() == ["9.0"]


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["schema", "root", "libraries", "path", "size", "containers"]), inner)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_coverage_or_stale(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("coverage") / "coverage.json"
    path.write_text(json.dumps(data))
    with contextlib.suppress(coverage.Stale):
        assert isinstance(coverage.read(path).wholly(), list)


codes = st.builds(Code, st.booleans(), st.integers(1, 15), st.integers(0, 9), st.sampled_from(["", "a", "f"]))


@settings(deadline=None)
@given(st.lists(st.frozensets(codes, min_size=1), max_size=4))
def test_what_is_kept_answers_as_the_library_does(tmp_path_factory, containers):
    folder = tmp_path_factory.mktemp("kept")
    (folder / "a.so").write_bytes(b"x")
    code = fatbin.Coverage(tuple(containers))
    (folder / "c.json").write_text(json.dumps(coverage.describe(folder, [(folder / "a.so", code)])))
    served = coverage.read(folder / "c.json")
    for major, minor in CAPABILITIES:
        count, total = code.share(major, minor)
        wanted = "not" if not count else "wholly" if count == total else "partly"
        assert served.how(major, minor) == wanted


def test_the_file_is_the_same_whatever_the_order(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(b"x")
    one = fatbin.Coverage((frozenset({Code(False, 9, 0), Code(True, 9, 0)}), frozenset({Code(False, 8, 0, "a")})))
    other = fatbin.Coverage(one.containers[::-1])
    first = coverage.describe(tmp_path, [(tmp_path / "a", one), (tmp_path / "b", one)])
    second = coverage.describe(tmp_path, [(tmp_path / "b", other), (tmp_path / "a", other)])
    assert json.dumps(first) == json.dumps(second)
