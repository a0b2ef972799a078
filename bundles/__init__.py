"""What a bundle is: its format, its checks, its store. Usable and auditable with no daemon."""

__version__ = "0.1.0"
