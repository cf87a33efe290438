"""The survey of an environment."""

from __future__ import annotations

from pathlib import Path

from smoke.installed.survey import named_within, survey
from tests.unit.smoke.environment import Environment, library


def test_the_names_within_a_library_s_text_are_read(tmp_path: Path) -> None:
    path = tmp_path / "libcudnn_graph.so.9"
    path.write_bytes(library("libcudnn_graph.so.9", text=b"\0libcudnn_ops.so\0libcudnn_heuristic.so\0"))
    assert named_within(path) == {"libcudnn_ops.so", "libcudnn_heuristic.so"}


def test_a_library_has_its_owner_and_its_path_without_links(env: Environment) -> None:
    link = env.site / "nvidia/cu13/lib/libcudart.so"
    link.symlink_to("libcudart.so.13")
    linked, real = (one for one in survey(env.site).libraries if one.path.name.startswith("libcudart"))
    assert (linked.path, linked.real, linked.owner) == (link, real.path, None)
    assert real.owner is not None
    assert (real.owner.name, real.owner.version) == ("nvidia-cuda-runtime", "13.2.86")


def test_links_that_run_in_a_circle_are_damage_in_nvidia_s_and_nothing_elsewhere(env: Environment) -> None:
    (env.site / "nvidia/cu13/lib/libround.so").symlink_to("libround.so")
    (env.site / "framework/round.so").symlink_to("round.so")
    broken = [library for library in survey(env.site).libraries if library.damage]
    assert [library.path.name for library in broken] == ["libround.so"]
