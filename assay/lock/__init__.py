"""Exact versions and hashes for what each ``requirements.in`` asks for, resolved by uv.

A lock holds for one Python on one platform, so an image has one for each that it declares. It contains the lock of
every stack below it to the hash, and says nothing about the machine that wrote it: no index, no address, no path. The
``packages.lock`` of a base or of build tools is resolved only where it is named, since that takes root and apt, and
locking wheels does not.
"""

from assay.lock.check import check
from assay.lock.newer import Newer, Yanked, newer
from assay.lock.resolve import Result, choose, lock

__all__ = ["Newer", "Result", "Yanked", "check", "choose", "lock", "newer"]
