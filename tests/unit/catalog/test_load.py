from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from assay import catalog
from assay.errors import UsageError
from tests.conftest import ROOT
from tests.unit.catalog.refusals import A, edit, refused, write
from tests.unit.repository import BASE, FRAMEWORK, STACK_LOCK

TORCHY = FRAMEWORK.format(parent="cuda/1.0", name="torch")
TOOLS = """
[image]
summary = "Compilers"
[tools]
suite = "trixie"
components = ["main", "contrib"]
include = ["g++"]
unpack = ["headers"]
sources = ["torchy"]
exclude = ["/usr/lib/*.a"]
"""


def test_a_catalog_holds_what_the_folders_say(root: Path) -> None:
    edit(root, "torchy", "[framework]", 'notes = ["2.0 does not import"]\n[framework]')
    images = catalog.load(root)
    assert list(images.images) == ["base/trixie", "cuda/1.0", "plain", "tensory", "torchy"]
    base, stack, framework = (images.get(name) for name in ("base/trixie", "cuda/1.0", "torchy"))
    assert (base.suite, base.include, base.parent, base.framework) == ("trixie", ("python3",), None, None)
    assert stack.dockerfile == root / "images/cuda/Dockerfile"
    assert framework.dockerfile == root / "images/Dockerfile"
    assert framework.framework == catalog.Framework("torch", "torch")
    assert framework.labels == {"python": "3.13", "cuda": "1.0"}  # facts are stated once, where they are decided
    assert (framework.platform, framework.suite) == ("x86_64-manylinux_2_40", None)
    assert (framework.size_gb, framework.notes) == (2.0, ("2.0 does not import",))
    assert framework.lock == root / "images/torchy/requirements.lock"
    assert (base.lock, base.requirements) == (None, None)
    assert base.packages_lock == root / "images/base/trixie/packages.lock"
    assert len({base, stack, framework}) == 3


def test_until_when_a_suite_is_supported(root: Path) -> None:
    def until(text: str) -> None:
        write(
            root,
            "base/trixie/image.toml",
            BASE.replace('suite = "trixie"', f'suite = "trixie"\nsupported_until = {text}'),
        )

    until('"2030-06"')
    images = catalog.load(root)
    assert images.get("base/trixie").supported_until == "2030-06"
    assert images.get("torchy").supported_until == "2030-06", "what stands on it is supported no longer"
    for wrong in ('"2030-13"', '"June 2030"', "2030", '"2030-06-30"'):
        until(wrong)
        refused(root, "images/base/trixie/image.toml: base.supported_until")


def test_a_base_has_no_parent(root: Path) -> None:
    write(root, "torchy/image.toml", BASE.replace("[base]", 'parent = "base/trixie"\n[base]'))
    refused(root, "images/torchy/image.toml: image.parent does not go with [base]")


def with_tools(root: Path) -> None:
    write(root, "tools/torchy/image.toml", TOOLS)
    edit(root, "torchy", "[framework]", 'build_tools = "tools/torchy"\n[framework]')


def test_build_tools_are_no_image(root: Path) -> None:
    with_tools(root)
    images = catalog.load(root)
    tools = images.tools["tools/torchy"]
    assert "tools/torchy" not in images.images
    assert (tools.suite, tools.include) == ("trixie", ("g++",))
    assert tools.tools == catalog.Tools(
        suite="trixie",
        components=("main", "contrib"),
        include=("g++",),
        unpack=("headers",),
        sources=("torchy",),
        exclude=("/usr/lib/*.a",),
    )
    assert images.get("torchy").build_tools == tools
    assert [image.name for image in images.order(["torchy"])] == ["base/trixie", "cuda/1.0", "torchy"]
    with pytest.raises(UsageError, match=r"tools/torchy are build tools, and no image is made of them\n.*assay lock"):
        images.get("tools/torchy")


@pytest.mark.parametrize(
    ("name", "old", "new", "fragments"),
    [
        (
            "torchy",
            "tools/torchy",
            "tools/torch",
            ["image.build_tools: there are no build tools named 'tools/torch'"],
        ),
        ("torchy", "tools/torchy", "cuda/1.0", ["image.build_tools: there are no build tools named 'cuda/1.0'"]),
        ("torchy", 'parent = "cuda/1.0"', 'parent = "tools/torchy"', ["image.parent: no image is named"]),
        ("tools/torchy", "[tools]", 'parent = "base/trixie"\n[tools]', ["image.parent does not go with [tools]"]),
        (
            "tools/torchy",
            "[tools]",
            '[base]\nsuite = "a"\nplatform = "b"\n[tools]',
            ["[tools] does not go with [base]"],
        ),
        ("tools/torchy", "components", "component", ["unknown key tools.component", "Did you mean components?"]),
        ("tools/torchy", '"/usr/lib/*.a"', '"/usr/$(id)"', ["tools.exclude"]),
        ("tools/torchy", '"g++"', '"g++ x"', ["tools.include"]),
    ],
)
def test_defects_of_build_tools(root: Path, name: str, old: str, new: str, fragments: list[str]) -> None:
    with_tools(root)
    edit(root, name, old, new)
    refused(root, *fragments)


def test_a_circle_is_named_in_order(root: Path) -> None:
    for name, parent in {"a": "b", "b": "c", "c": "a"}.items():
        write(root, f"{name}/image.toml", f'[image]\nsummary = "x"\nparent = "{parent}"\n')
    error = refused(root, "images/a/image.toml: image.parent")
    assert "a -> b -> c -> a" in error.what
    write(root, "a/image.toml", '[image]\nsummary = "x"\nparent = "a"\n')
    assert "a -> a" in refused(root).what


@pytest.mark.parametrize("name", ["Torch", "torch_", "a..b", "a---_b", "-a", "a/b/c", "ünder"])
def test_a_folder_that_is_no_repository_name(root: Path, name: str) -> None:
    write(root, f"{name}/image.toml", TORCHY)
    refused(root, f"images/{name} is no name for an image")


def test_a_variant_with_its_parents_name_is_refused(root: Path) -> None:
    write(root, "torchy/torchy/image.toml", TORCHY)
    refused(root, "images/torchy/torchy has the name of what it is a variant of")


@pytest.mark.parametrize("name", ["torch2", "a.b", "a__b", "a--b", "x/1.0-rc1"])
def test_a_folder_that_is_one(root: Path, name: str) -> None:
    write(root, f"{name}/image.toml", TORCHY)
    image = catalog.load(root).get(name)
    assert (image.lock, image.pins) == (None, {})


def test_the_closest_dockerfile_is_an_images_and_none_above_images_is(root: Path) -> None:
    (root / "images/Dockerfile").unlink()
    (root / "Dockerfile").write_text("FROM scratch")  # above images/: someone else's
    for name in ("plain", "tensory"):
        write(root, f"{name}/Dockerfile", "FROM scratch")
    refused(root, "images/torchy has no Dockerfile")
    write(root, "Dockerfile", "FROM scratch")
    images = catalog.load(root)
    assert images.get("torchy").dockerfile == root / "images/Dockerfile"
    assert images.get("plain").dockerfile == root / "images/plain/Dockerfile"


def test_no_images(tmp_path: Path) -> None:
    refused(tmp_path, "holds no image.toml")


def test_the_images_of_this_repository() -> None:
    images = catalog.load(ROOT)
    assert images.frameworks()
    for image in images.images.values():
        assert images.ancestors(image) or image.suite
        assert {"python"} <= set(image.labels)
        assert image.platform
        text = image.lock.read_text() if image.lock else ""
        assert not re.search(r"https?:|file:|/tmp|/home|/root", text)
    for image in images.frameworks():
        assert image.framework
        packages = catalog.packages(image)
        assert not image.lock or (image.framework.distribution or image.framework.module) in packages


def test_twenty_images_load_in_a_tenth_of_a_second(root: Path) -> None:
    lines = "".join(f"p{number}==1.{number} \\\n    --hash=sha256:{A}\n" for number in range(49))
    for number in range(18):
        for name, text in {"image.toml": TORCHY, "requirements.in": "torch"}.items():
            write(root, f"x{number}/{name}", text)
        write(root, f"x{number}/requirements.lock", STACK_LOCK + lines)

    def seconds() -> float:
        begin = time.process_time()
        assert len(catalog.load(root).images) == 23
        return time.process_time() - begin

    assert min(seconds() for _ in range(5)) < 0.1


def test_what_goes_into_a_layer_of_its_own(root: Path) -> None:
    edit(root, "torchy", "[framework]", '[layers]\nfirst = ["Torch"]\n[framework]')
    edit(root, "base/trixie", "[base]", '[layers]\nfirst = ["/usr/lib/gcc", "/usr/lib/*/perl"]\n[base]')
    images = catalog.load(root)
    assert images.get("torchy").first == ("torch",)
    assert images.get("base/trixie").first == ("/usr/lib/gcc", "/usr/lib/*/perl")


@pytest.mark.parametrize(
    ("name", "first", "fragment"),
    [
        ("torchy", "/usr/lib", "layers.first: /usr/lib"),
        ("torchy", "jaxlib", "layers.first: jaxlib is not in its requirements.lock"),
        ("torchy", "torch $(id)", "layers.first"),
        ("base/trixie", "gcc", "layers.first: gcc"),
        ("base/trixie", "/usr/lib/", "layers.first"),
    ],
)
def test_defects_of_a_layer_of_its_own(root: Path, name: str, first: str, fragment: str) -> None:
    table = "[base]" if name == "base/trixie" else "[framework]"
    edit(root, name, table, f'[layers]\nfirst = ["{first}"]\n{table}')
    refused(root, f"images/{name}/image.toml", fragment)


def test_an_image_with_a_dockerfile_of_its_own_makes_its_layers_itself(root: Path) -> None:
    edit(root, "torchy", "[framework]", '[layers]\nfirst = ["torch"]\n[framework]')
    (root / "images/torchy/Dockerfile").write_text("FROM scratch\n")
    refused(root, "images/torchy/image.toml: layers.first: the image has a Dockerfile of its own")
