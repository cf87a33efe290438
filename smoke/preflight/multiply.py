"""Multiplies matrices of small whole numbers with each OpenBLAS of the image, and compares with exact arithmetic.

A process of its own, since a wrong kernel may also crash. Its arguments are the paths of further libraries than
NumPy's. It prints JSON: the version of NumPy, what each OpenBLAS says of itself, and the products that are wrong.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

# 625x5 by 5x625 is what showed Sapphire Rapids to be wrong in NumPy 1.23 with its OpenBLAS 0.3.20 (numpy issue
# 24903). It shows the same of that OpenBLAS's kernels for Cooper Lake on any processor with AVX-512, where
# OPENBLAS_CORETYPE names them. The second shape takes the way of large matrices, with edges on all sides.
SHAPES = ((625, 5, 625), (257, 129, 193))
ROW_MAJOR, PLAIN = 101, 111
NAMES = tuple(
    (prefix, suffix) for prefix in ("", "scipy_") for suffix in ("", "64_")
)  # of the functions, by the build
Product = Callable[[Any, Any], Any]


def wrong_products(multiply: Product) -> list[str]:
    """The products that are not exact, each as its type and shapes. Sums are below 2**24: f32 has them exactly."""
    numbers = np.random.RandomState(1)
    found = []
    for rows, inner, columns in SHAPES:
        a, b = numbers.randint(-8, 9, (rows, inner)), numbers.randint(-8, 9, (inner, columns))
        exact = a @ b  # whole numbers, which no BLAS multiplies
        for kind in ("float32", "float64"):
            wrong = int((multiply(a.astype(kind), b.astype(kind)) != exact).sum())
            if wrong:
                found.append(f"{kind} {rows}x{inner} by {inner}x{columns}: {wrong} of {exact.size} numbers")
    return found


def product_of(library: ctypes.CDLL) -> Optional[Product]:
    """The multiplication of an OpenBLAS; None if the library has none by a name that is known."""
    for prefix, suffix in NAMES:
        if hasattr(library, f"{prefix}cblas_dgemm{suffix}"):
            whole = ctypes.c_int64 if suffix else ctypes.c_int
            gemm = {kind: getattr(library, f"{prefix}cblas_{kind}gemm{suffix}") for kind in "sd"}
            return lambda a, b: _call(gemm[a.dtype.char.replace("f", "s")], whole, a, b)
    return None


def _call(gemm: Any, whole: Any, a: Any, b: Any) -> Any:
    number = ctypes.c_float if a.dtype == np.float32 else ctypes.c_double
    (rows, inner), columns = a.shape, b.shape[1]
    c = np.zeros((rows, columns), a.dtype)
    pointers = [ctypes.c_void_p(one.ctypes.data) for one in (a, b, c)]
    sizes = [whole(one) for one in (rows, columns, inner)]
    left, right = (number(1), pointers[0], whole(inner)), (pointers[1], whole(columns))
    gemm(ROW_MAJOR, PLAIN, PLAIN, *sizes, *left, *right, number(0), pointers[2], whole(columns))
    return c


def describe(library: ctypes.CDLL) -> str:
    """What an OpenBLAS says of itself: its version, and the processor that it takes this one for."""
    for prefix, suffix in NAMES:
        told = []
        for name in ("config", "corename"):
            function = getattr(library, f"{prefix}openblas_get_{name}{suffix}", None)
            if function is not None:
                function.restype = ctypes.c_char_p
                told.append(function().decode("ascii", "replace"))
        if len(told) == 2:
            return "{} for {}".format(" ".join(told[0].split()[:2]), told[1])
    return "OpenBLAS"


def loaded() -> Iterator[str]:
    """The OpenBLAS libraries that NumPy brought into this process."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.search(r"/\S*openblas\S*\.so\S*$", line)
        if match:
            yield match.group()


def main(further: list[str]) -> None:
    """Prints what was found."""
    own = list(dict.fromkeys(loaded()))
    found = [
        {"path": "NumPy", "says": describe(ctypes.CDLL(own[0])) if own else "", "wrong": wrong_products(np.matmul)}
    ]
    for path in (one for one in further if one not in own):
        try:
            library = ctypes.CDLL(path)
        except OSError as why:
            found.append({"path": path, "says": "", "wrong": [], "unknown": str(why)})
            continue
        product = product_of(library)
        if product:
            found.append({"path": path, "says": describe(library), "wrong": wrong_products(product)})
    print(json.dumps({"numpy": np.__version__, "products": found}))


if __name__ == "__main__":
    main(sys.argv[1:])
