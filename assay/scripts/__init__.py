"""Scripts that another Python runs: they import nothing of Assay, and Assay knows only where they are."""

from pathlib import Path

INVENTORY = Path(__file__).with_name("inventory.py")
NVML = Path(__file__).with_name("nvml.py")
