"""NVIDIA's tables of drivers."""

from __future__ import annotations

import pytest

from assay.doctor.cuda import numbers
from assay.doctor.drivers import FIRST_TOOLKIT, LINUX, WINDOWS, Drivers, branch, of_windows


def test_the_least_drivers_are_those_of_the_suite() -> None:
    assert LINUX.least == {11: (450, 80, 2), 12: (525, 60, 13), 13: (580,)}


@pytest.mark.parametrize("table", [LINUX, WINDOWS])
def test_a_table_is_in_order(table: Drivers) -> None:
    """A later toolkit came with a later driver, and a GPU's first toolkit is one that is in the table."""
    drivers = [driver for _, driver in sorted(table.toolkit.items())]
    assert drivers == sorted(drivers)
    assert set(FIRST_TOOLKIT.values()) <= set(table.toolkit)


def test_a_toolkit_is_of_the_same_branch_in_both_tables() -> None:
    assert {toolkit: branch(driver) for toolkit, driver in LINUX.toolkit.items() if toolkit >= (11, 0)} == {
        toolkit: branch(driver) for toolkit, driver in WINDOWS.toolkit.items() if toolkit >= (11, 0)
    }
    for table in (LINUX, WINDOWS):
        for major, least in table.least.items():
            assert branch(least) == branch(table.toolkit[major, 0])


@pytest.mark.parametrize("driver", ["551.61", "546.80", "572.16", "581.80", "616.92", "551"])
def test_numbers_that_only_windows_has(driver: str) -> None:
    assert of_windows(numbers(driver))


@pytest.mark.parametrize("driver", ["550.54.14", "595.80", "450.57", "418.39", "390.157", "560.94", "550", ""])
def test_numbers_that_linux_has_too(driver: str) -> None:
    assert not of_windows(numbers(driver))
