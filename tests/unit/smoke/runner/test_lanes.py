"""Which processes run side by side, and in what order."""

import time
from types import SimpleNamespace

import pytest

from smoke.runner import lanes


class Chains:
    """A runner that notes when its chains begin and end; each takes a moment."""

    def __init__(self, device, told):
        self.plan, self.told = SimpleNamespace(device=device), told

    def chain(self, processes, _stop):
        self.told.append(("begins", processes))
        time.sleep(0.05)
        self.told.append(("ends", processes))


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_framework_is_met_as_a_user_meets_it_before_the_suite_trains_with_it(device):
    told = []
    lanes.run_stages([Chains(device, told), Chains(device, told)])
    untouched = [("static",), ("found",), ("tried",)]
    assert {processes for _, processes in told[:12]} == set(untouched)
    trained = {("main",), ("compile",), ("first", "second")}
    assert {processes for _, processes in told[12:]} == {*trained, ("write", "read")}
    assert len(told) == 28


@pytest.mark.parametrize(("device", "most"), [("cpu", 2), ("gpu", 1)])
def test_how_many_processes_run_side_by_side(device, most):
    told = []
    lanes.run_stages([Chains(device, told) for _ in range(3)])
    running = [sum(1 if what == "begins" else -1 for what, _ in told[:count]) for count in range(len(told))]
    assert max(running) == most
