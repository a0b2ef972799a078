"""goosectl bundle: recipes in, signed volumes out; volumes in, served content out."""

from goosectl.bundle import (
    checking,
    comparing,
    making,
    manifest,
    reading,
    repairing,
    signing,
    storing,
)
from goosectl.bundle.options import app

__all__ = [
    "app",
    "checking",
    "comparing",
    "making",
    "manifest",
    "reading",
    "repairing",
    "signing",
    "storing",
]
