"""A site in one sealed file, and a site made from one: docs/backup.md."""
