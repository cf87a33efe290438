"""The site as a reader has it: from a folder, in a browser, by light and in the dark, at a desk and on a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import text_to_be_present_in_element
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from assay import catalog, doctor, site
from assay.certificate import Suites
from assay.engine import apt
from assay.site import Site
from tests import browser as chromium
from tests import node
from tests.browser import SHOWN, logged, tell
from tests.integration.conftest import assay
from tests.unit.doctor.test_table import MACHINES, machines
from tests.unit.site.known import checkout
from tests.unit.site.pages import whole
from tests.unit.site.test_pages import measured

pytestmark = pytest.mark.engine

SIZES = {"desk": (1280, 900, False), "phone": (360, 740, True)}
LARGEST_FIRST_PAGE = 300_000  # bytes
SECONDS_TO_DRAW = 1.0
DRAWN = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites: `here` is what the command makes of this checkout; `known` has all that a page can show."""
    made = tmp_path_factory.mktemp("sites")
    done = assay(root, "site", "--out", str(made / "here"))
    assert done.returncode == 0, done.stderr
    base = tmp_path_factory.mktemp("known")
    found = measured(base)
    site.write(Site(tuple(checkout(base / "checkout")), found, base / "checkout"), made / "known")
    return made


@pytest.fixture(scope="module")
def reader(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Remote]:
    """A browser that sees the sites as files."""
    if not apt.available():
        pytest.skip("a browser is bootstrapped, which needs Linux, root and apt")
    with chromium.driver(tmp_path_factory.mktemp("browser") / "log", folder) as started:
        opened = started.open()
        yield opened
        opened.quit()


@pytest.fixture(scope="module")
def axe() -> str:
    """The rules of accessibility, as a script."""
    return (node.programs().parent / "axe-core/axe.min.js").read_text()


def pages(folder: Path) -> list[str]:
    """The pages of both sites; of the images here, the one of which there is most to say."""
    paths = sorted(folder.rglob("*.html"))
    images = [path for path in paths if path.parent == folder / "here/images"]
    chosen = [path for path in paths if path not in images] + [max(images, key=lambda path: path.stat().st_size)]
    return [path.relative_to(folder).as_posix() for path in chosen]


def show(reader: webdriver.Remote, page: str, size: str = "desk", scheme: str = "light") -> None:
    width, height, mobile = SIZES[size]
    tell(reader, "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
    tell(reader, "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    logged(reader, "performance")
    reader.get(f"file://{SHOWN / page}")


def requests(reader: webdriver.Remote) -> set[str]:
    """Whatever the browser asked for since the page was opened."""
    events = [json.loads(one["message"])["message"] for one in logged(reader, "performance")]
    return {one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_each_page_is_readable(reader: webdriver.Remote, folder: Path, axe: str, size: str, scheme: str) -> None:
    """It fits, asks nobody for anything, has no error, and breaks no rule of accessibility."""
    papers = set()
    for page in pages(folder):
        show(reader, page, size, scheme)
        asked = {url for url in requests(reader) if not url.startswith("data:,")}
        assert asked == {f"file://{SHOWN / page}"}, page
        assert reader.execute_script("return document.documentElement.scrollWidth <= innerWidth"), (
            f"{page} is too wide"
        )
        papers.add(reader.execute_script("return getComputedStyle(document.body).backgroundColor"))
        reader.execute_script(axe)
        found = reader.execute_async_script("axe.run().then(arguments[0])")
        broken = [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found["violations"]]
        assert not broken, page
        assert found["passes"]
        assert not logged(reader, "browser"), page
    assert len(papers) == 1


def test_all_links_lead_somewhere(folder: Path) -> None:
    for name in ("here", "known"):
        assert len(whole(folder / name)) > 5


def test_the_first_page_is_small_and_soon_there(reader: webdriver.Remote, folder: Path) -> None:
    assert (folder / "here/index.html").stat().st_size < LARGEST_FIRST_PAGE
    drawn = []
    for _ in range(3):  # of which the soonest says what the page takes; the others, what else the machine does
        show(reader, "here/index.html")
        drawn.append(WebDriverWait(reader, 30).until(lambda page: page.execute_script(DRAWN)))
    assert min(drawn) / 1000 < SECONDS_TO_DRAW


def test_without_scripts_everything_can_be_read(reader: webdriver.Remote, folder: Path) -> None:
    tell(reader, "Emulation.setScriptExecutionDisabled", value=True)
    try:
        for page in pages(folder):
            show(reader, page)
            assert reader.find_element(By.TAG_NAME, "h1").text, page
            assert len(reader.find_element(By.TAG_NAME, "main").text) > 200, page
        show(reader, "here/doctor.html")
        assert not reader.find_element(By.ID, "machine").is_displayed()
        assert reader.find_element(By.CSS_SELECTOR, "noscript p").is_displayed()
        assert reader.find_element(By.CSS_SELECTOR, "table.matrix").is_displayed()
    finally:
        tell(reader, "Emulation.setScriptExecutionDisabled", value=False)


def test_the_page_answers_as_the_doctor_does(reader: webdriver.Remote, root: Path) -> None:
    """For five hundred machines, by the table and the script that are in the page."""
    images = [one.certified for one in site.of_checkout(catalog.load(root), Suites.read(root))]
    asked = list(machines(MACHINES))
    show(reader, "here/doctor.html")
    told: list[Any] = reader.execute_script(
        "const table = JSON.parse(document.getElementById('table').textContent);"
        "return arguments[0].map(([text, kind]) => doctor.answers(table, doctor.driver(table, text), kind))",
        asked,
    )
    for (driver, capability), answers in zip(asked, told, strict=True):
        machine = doctor.another(driver, [capability])
        given = sorted(((one, doctor.judge(machine, one)) for one in images), key=lambda pair: doctor.order(*pair))
        right = [(one.image, answer.runs, answer.why, list(answer.notes)) for one, answer in given]
        found = [(one["image"], one["runs"], one["why"], one["notes"]) for one in answers]
        assert found == right, (driver, capability)


def test_a_reader_asks_for_a_machine(reader: webdriver.Remote, root: Path) -> None:
    show(reader, "here/doctor.html", "phone")
    Select(reader.find_element(By.ID, "gpu")).select_by_visible_text("H100")
    field = reader.find_element(By.ID, "driver")
    field.send_keys("12.4")
    answer = reader.find_element(By.ID, "answer")
    assert "12.4 is a CUDA version" in answer.text
    field.clear()
    field.send_keys("535.104.05")
    done = assay(root, "doctor", "--driver", "535.104.05", "--compute-capability", "9.0", "--json")
    rows = json.loads(done.stdout)["images"]
    on_gpu = sum(row["runs"] == "gpu" for row in rows)
    assert answer.find_element(By.TAG_NAME, "h2").text == f"{on_gpu} of {len(rows)} images run on the GPU"
    shown = [row.text for row in answer.find_elements(By.TAG_NAME, "tr")]
    assert len(shown) == len(rows)
    assert all(row["why"] in text for row, text in zip(rows, shown, strict=True))
    first = answer.find_element(By.CSS_SELECTOR, "th a")
    name = first.text
    first.click()
    WebDriverWait(reader, 30).until(text_to_be_present_in_element((By.TAG_NAME, "h1"), name))
    show(reader, "here/doctor.html")
    Select(reader.find_element(By.ID, "gpu")).select_by_visible_text("no NVIDIA GPU")
    assert reader.find_element(By.CSS_SELECTOR, "#answer h2").text.startswith("0 of ")
    assert not logged(reader, "browser")
