"""What a bundle is: its format, its checks, its store. Usable and auditable with no daemon."""
