"""goosectl trust: whose signatures count at this site, and how that changes."""

from goosectl.trust import accepting, pinning, rotating, showing, signing
from goosectl.trust.options import app

__all__ = ["accepting", "app", "pinning", "rotating", "showing", "signing"]
