"""What can be wrong with a backup, and with the place that it is to go to."""

from __future__ import annotations

from bundles.errors import GooseError


class BadBackup(GooseError):
    """A file is no backup of a site, or one that was changed or is of another version."""

    code = "bad-backup"
    default_hint = "give a whole file of `goosectl site backup`, made by this version of Goose"


class SiteThere(GooseError):
    """There is a site already where one is to be restored."""

    code = "site-there"
    default_hint = "give an empty GOOSE_HOME and an empty database, or move what is there away"


class BackupFailed(GooseError):
    """A backup cannot be written, or read, or put in place."""

    code = "backup-failed"
    default_hint = "see the reason, and run it again: nothing was left half done"
