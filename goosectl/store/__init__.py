"""goosectl store: what the site holds, and how it is kept whole."""

from goosectl.store import looking
from goosectl.store.options import app

__all__ = ["app", "looking"]
