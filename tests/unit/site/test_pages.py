"""The pages: what stands in them, that they are whole, and that text from strangers stays text."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from assay import site
from assay.compare import Answer, Control, Interval, Problem
from assay.errors import UsageError
from assay.site import Site
from tests.unit.site.known import checkout, comparison, fact, statement, timed, with_questions
from tests.unit.site.pages import Page, whole

HOSTILE = (
    "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'><svg onload=alert(1)>", "</style>",
    "{{ 7 * 7 }}", "{% raw %}", "<!--", "]]>", "&lt;b&gt;", "javascript:alert(1)", "\u202egnp.exe", "\x00\x1b[2J",
    "\ue000", "a\nb", "%s {0}",
)  # fmt: skip


def written(root: Path, found: Any = None, *statements: dict[str, Any]) -> dict[str, Page]:
    """The pages of a site in a folder beside its checkout, by their paths there."""
    out = root / "out"
    site.write(Site(tuple(checkout(root / "checkout", *statements)), found, root / "checkout"), out)
    return {page.path.relative_to(out).as_posix(): page for page in whole(out)}


def measured(root: Path) -> Any:
    """Results with everything that a page of the comparison can show."""
    (root / "checkout").mkdir(exist_ok=True)
    found = comparison(
        fact("debugging", "nan", "torch", values={"raised": True, "names_line": True}, text="Error: <the last line>"),
        fact("debugging", "nan", "keras", "cannot", because="it has no such check"),
        Answer("debugging", "nan", "jax", "not measured", "it crashed"),
        timed("speed", "mlp/1/written", "keras", 0.8),
        fact("speed", "mlp/1/written", "torch"),
        timed("speed", "mlp/1/tuned", "keras", 1.0, "no difference shown"),
        problems=[
            Problem("the machine was busy", "speed", "keras", "mlp/1/tuned"),
            Problem("a cut line", "debugging", file="debugging.jsonl", lines=(3, 4)),
        ],
        controls=[Control("speed", "1", "steps", Interval(0.99, 1, 1.01), Interval(1.03, 1.05, 1.07), passed=True)],
    )
    return with_questions(root / "checkout", found)


def test_a_page_for_each_image_and_all_links_are_whole(tmp_path: Path) -> None:
    pages = written(tmp_path, measured(tmp_path))
    assert set(pages) == {
        "index.html", "doctor.html", "compare.html", "images/torchy.html", "images/tensory.html",
        "compare/debugging.html", "compare/speed.html",
    }  # fmt: skip
    picture = ElementTree.parse(tmp_path / "out/picture.svg").getroot()
    assert picture.findtext("{*}title") == "How about debugging? PyTorch 1 of 1, Keras 0 of 1"


def test_the_first_page_says_what_there_is(tmp_path: Path) -> None:
    text = " ".join(written(tmp_path)["index.html"].text.split())
    for said in ("torchy", "tensory", "E2 on the CPU", "everyday", "3.13", "Not measured yet."):
        assert said in text


def test_a_certificate_is_there_with_each_number_and_gate(tmp_path: Path) -> None:
    report = statement(
        "torchy", {"left_out": {"torchy.x": "pip install y"}}, {"libraries": {"libcudart.so.13": "13.2"}}
    )
    text = " ".join(written(tmp_path, None, report)["images/torchy.html"].text.split())
    checks = [one for one in report["predicate"]["results"] if one["state"] != "not-run"]
    assert checks
    for check in checks:
        assert check["id"] in text
        for metric in check["metrics"]:
            assert metric["gate"] is None or metric["gate"] in text, check["id"]
    for fault in report["predicate"]["faults"]:
        assert f"{fault['id']} caught" in text
    for one in report["predicate"]["results"]:
        assert one["state"] != "not-run" or one["reason"] in text
    assert "torchy.x pip install y" in text
    assert "libcudart.so.13 13.2" in text
    assert "newcomer 1.0" in text


def test_what_failed_is_told_as_that(tmp_path: Path) -> None:
    made = statement("torchy", {}, {})
    made["predicate"]["results"][0].update(state="fail", reason="two files are not as recorded")
    page = written(tmp_path, None, made)["images/torchy.html"]
    assert "failed" in page.text
    assert "two files are not as recorded" in page.text
    assert "E2 on the CPU" not in " ".join(page.text.split()), "the level is computed, and not read"


def test_what_was_measured_is_shown(tmp_path: Path) -> None:
    pages = written(tmp_path, measured(tmp_path))
    text = {name: " ".join(page.text.split()) for name, page in pages.items()}
    assert "names the line" in text["compare.html"]
    assert "the machine was busy" in text["compare.html"]
    assert "a cut line debugging.jsonl, line 3, 4" in text["compare.html"]
    assert "None yet." in text["compare.html"], "of corrections"
    assert "What is done is told here." in text["compare.html"]
    assert "Error: <the last line>" in text["compare/debugging.html"]
    assert "it has no such check" in text["compare/debugging.html"]
    assert "The cell mlp, 1: a steady step as a ratio" in text["compare/speed.html"]
    assert "Shown faster: Keras 0.80 (0.78 to 0.82)." in text["compare/speed.html"]
    assert "No difference shown: Keras, tuned 1.00" in text["compare/speed.html"]
    assert "1.60 ms 2.00 ms 0.80 (0.78 to 0.82)" in text["compare/speed.html"]
    assert "1.05 (1.03 to 1.07) passed" in text["compare/speed.html"]


def test_a_timed_question_without_an_interval_says_so(tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    found = comparison(fact("speed", "mlp/1/written", "torch"), problems=[Problem("the set is void", "speed")])
    text = " ".join(written(tmp_path, with_questions(tmp_path / "checkout", found))["compare.html"].text.split())
    assert "No interval stands yet" in text
    assert "the set is void" in text


def test_corrections_are_listed_newest_first(tmp_path: Path) -> None:
    found = measured(tmp_path)
    lines = [
        f'[[correction]]\ndate = "{date}"\nquestion = "speed"\nwhat = "of {date}"\n'
        for date in ("2026-01-02", "2026-03-04")
    ]
    (tmp_path / "checkout/compare/corrections.toml").write_text("".join(lines))
    text = " ".join(written(tmp_path, found)["compare.html"].text.split())
    assert text.index("of 2026-03-04") < text.index("of 2026-01-02")


@pytest.mark.parametrize("wrong", ["correction = 1", "[[correction]]\ndate = 2", "= x"])
def test_malformed_corrections_are_a_usage_error(tmp_path: Path, wrong: str) -> None:
    found = measured(tmp_path)
    (tmp_path / "checkout/compare/corrections.toml").write_text(wrong)
    with pytest.raises(UsageError, match=r"corrections\.toml is malformed"):
        written(tmp_path, found)


def test_a_page_asks_nobody_and_runs_nothing_but_its_own(tmp_path: Path) -> None:
    written(tmp_path, measured(tmp_path))
    for path in (tmp_path / "out").rglob("*.html"):
        text = path.read_text()
        (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
        assert policy.startswith("default-src &#39;none&#39;; ")
        assert "unsafe" not in policy
        assert not re.findall(r"url\(|@import|style=|\son\w+=", text)
        assert "script-src &#39;none&#39;" in policy or path.name == "doctor.html"


def edited(text: str, image: str = "torchy") -> dict[str, Any]:
    """A certificate that has a text wherever a stranger's may stand."""
    made = statement(
        image,
        {"left_out": {text: text}, "programs": {text[:256]: text}, "packages": {text[:256]: text[:256]}},
        {"framework": text[:256], "as_found": {text: [text]}, "libraries": {text: text}},
    )
    predicate = made["predicate"]
    predicate["host"]["cpu"] = predicate["timeCreated"] = text[:256]
    predicate["image"]["inputs"] = {text: text[:256]}
    for one in (predicate["results"][0], predicate["faults"][0]):
        one["reason"] = text
        one["metrics"][0]["name"] = text[:256]
    predicate["results"][1]["id"] = predicate["results"][2]["family"] = text[:256]
    return made


def test_text_from_strangers_stays_text(tmp_path: Path) -> None:
    pages = written(
        tmp_path, None, edited("x" * 9, "plain-text"), *(edited(text, f"i{at}") for at, text in enumerate(HOSTILE))
    )
    for number, text in enumerate(HOSTILE):
        assert pages[f"images/i{number}.html"].tags == pages["images/plain-text.html"].tags, text
    for path in (tmp_path / "out").rglob("*.html"):
        assert not re.search("[\u202e\x00\x1b]", path.read_text()), path.name


@settings(max_examples=5, phases=(Phase.explicit, Phase.generate))  # to shrink what writes files takes minutes
@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=4))
def test_whatever_a_certificate_says_its_page_is_built_alike(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pages = written(
            Path(folder),
            None,
            edited("x" * 9, "plain-text"),
            *(edited(text, f"i{at}") for at, text in enumerate(texts)),
        )
    for number, text in enumerate(texts):
        assert pages[f"images/i{number}.html"].tags == pages["images/plain-text.html"].tags, text


def test_texts_of_results_stay_text(tmp_path: Path) -> None:
    hostile = "".join(HOSTILE)
    for folder, text in (("plain", "x"), ("hostile", hostile)):
        (tmp_path / folder / "checkout").mkdir(parents=True)
        found = comparison(
            fact("debugging", "nan", "torch", values={text: text, "b": [text]}, text=text, image=text),
            fact("debugging", "nan", "keras", "failed", because=text),
            problems=[Problem(text, "debugging")],
        )
        written(tmp_path / folder, with_questions(tmp_path / folder / "checkout", found))
    for name in ("compare.html", "compare/debugging.html"):
        pages = [Page(tmp_path / folder / "out" / name).tags for folder in ("plain", "hostile")]
        assert pages[0] == pages[1]


def test_images_whose_names_make_one_word_have_a_page_each(tmp_path: Path) -> None:
    names = ("a/b", "a-b", "A B", "../..", "<>", "x" * 200)
    pages = written(tmp_path, None, *(statement(name, {}, {}) for name in names))
    assert sum(name.startswith("images/") for name in pages) == len(names)
    assert all(re.fullmatch(r"images/[a-z0-9-]{1,90}\.html", name) for name in pages if "/" in name)


def test_the_table_of_rules_is_in_the_page_as_data(tmp_path: Path) -> None:
    written(tmp_path)
    text = (tmp_path / "out/doctor.html").read_text()
    (data,) = re.findall(r'<script type="application/json" id="table">(.*?)</script>', text, re.DOTALL)
    assert {row["image"] for row in json.loads(data)["images"]} == {"torchy", "tensory"}


def test_the_same_site_is_the_same_bytes(tmp_path: Path) -> None:
    subjects = tuple(checkout(tmp_path / "checkout"))
    first, second = (tmp_path / name for name in ("first", "second"))
    for folder in (first, second):
        site.write(Site(subjects), folder)
    for path in first.rglob("*.html"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_pages_of_an_older_site_go_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    written(tmp_path)
    old = tmp_path / "out/images/gone.html"
    old.write_text("old")
    (tmp_path / "out/CNAME").write_text("kept")
    site.write(Site(tuple(checkout(tmp_path / "again"))), tmp_path / "out")
    assert not old.exists()
    assert (tmp_path / "out/CNAME").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "index.html").write_text("mine")
    with pytest.raises(UsageError, match="holds something else than a site"):
        site.write(Site(tuple(checkout(tmp_path / "third"))), mine)
    assert (mine / "index.html").read_text() == "mine"
