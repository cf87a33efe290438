"""The Debian root file systems of bases and build tools, from exact package versions.

`rootfs` gives one as a tar for its lock, `lock` resolves one anew, `layout` hands a tar to BuildKit.
"""

from assay.rootfs.bootstrap import SOURCE_DATE_EPOCH, programs_folder
from assay.rootfs.kept import How, Rootfs, kept_copy, lock, rootfs
from assay.rootfs.layout import layout
from assay.rootfs.packages_lock import SOURCE, Package, PackagesLock
from assay.rootfs.split import split
from assay.rootfs.updates import Update, updates

# fmt: off
__all__ = [
    "SOURCE", "SOURCE_DATE_EPOCH", "How", "Package", "PackagesLock", "Rootfs", "Update", "kept_copy", "layout",
    "lock", "programs_folder", "rootfs", "split", "updates",
]
