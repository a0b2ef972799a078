"""Software packages among a bundle's files: one module per format, each reading the head of a file.

A package is outside input: what is read of it is bounded, and a file that is not what its name says
is an ordinary file with a remark, never a fault of the build.
"""

from __future__ import annotations

import os

from bundles.packages import deb, rpm, wheel
from bundles.packages.package import NotAPackage, Package

__all__ = ["NotAPackage", "Package", "is_package", "read"]

_READERS = {".rpm": rpm.read, ".deb": deb.read, ".udeb": deb.read, ".whl": wheel.read}


def is_package(path: str) -> bool:
    """Whether the name says that the file is a package; no other file is ever opened."""
    return os.path.splitext(path)[1] in _READERS


def read(location: str, path: str) -> Package:
    """The package in the file at `location`, which is called `path` in the bundle.

    Raises `NotAPackage` for whatever the file holds, and OSError when it cannot be read.
    """
    suffix = os.path.splitext(path)[1]
    descriptor = os.open(location, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _READERS[suffix](descriptor, path.rsplit("/", 1)[-1])
    except (NotAPackage, OSError):
        raise
    except Exception as error:
        # Libraries that take compressed data and archives apart fail in many ways on damaged ones.
        raise NotAPackage(f"is not a readable {suffix} file") from error
    finally:
        os.close(descriptor)
