"""One file per framework, with the same functions in each: what its users do every day besides training.

Each way that a framework documents to save something is used in one process and read in another; and what it lets its
users compile against it is compiled, loaded and run. As in ``smoke.frameworks``, the work is done in the framework's
own way and without any switch, on the device that it takes by itself. What a file must hold is ``Everyday``: a unit
test compares each file with it by name and signature, without importing it.
"""

from __future__ import annotations

from typing import Protocol


class Everyday(Protocol):
    """A framework's file. The constants are literals: they are read without importing it.

    Where the framework leaves the computing to a backend, it is the one that ``smoke.plan.chosen_backend`` names.
    """

    # The framework's documented savers, each by a name of its own: small letters, digits and dashes.
    FORMATS: tuple[str, ...]
    # The ways in which users compile code of their own against the framework, named as the formats are.
    EXTENSIONS: tuple[str, ...]
    # "files.onnx", "files.onnx.jax" (with one backend) or "extension.ffi" -> why the framework itself cannot do it.
    CANNOT: dict[str, str]

    def write(self, name: str, folder: str) -> list[float]:
        """Save something that is not trivial into the folder, in one of FORMATS, and give its numbers.

        They are outputs for fixed inputs, weights, or what a further step of training makes of them: at least four
        that are finite and not all the same.
        """

    def read(self, name: str, folder: str) -> list[float]:
        """Load what ``write`` left in the folder, in a fresh process, and give the same numbers, computed anew.

        They are equal bit by bit. What another program than the framework computes is exact in any order of its sums:
        its numbers are small integers.
        """

    def extend(self, name: str, folder: str) -> list[float]:
        """Compile one of EXTENSIONS in the folder, load it, and give what it makes of 0, 1, 2, 3: 2 x + 1 of each."""
