"""goosectl store: what the site holds, and how it is kept whole."""

from goosectl.store import choosing, keeping, looking, receipt
from goosectl.store.options import app

__all__ = ["app", "choosing", "keeping", "looking", "receipt"]
