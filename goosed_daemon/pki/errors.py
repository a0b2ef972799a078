"""What the site's certification authority refuses."""

from __future__ import annotations

from goosed_daemon.errors import DaemonError


class PkiError(DaemonError):
    """The site's certification authority cannot do what was asked."""

    code = "pki-failed"


class NoAuthority(PkiError):
    """The site has no certification authority yet."""

    code = "no-authority"
    default_hint = "`goosectl pki init --permit DOMAIN` makes one"


class AuthorityExists(PkiError):
    """The site has a certification authority already."""

    code = "authority-exists"
    default_hint = "`goosectl pki show` shows it; a new one takes an empty folder"


class BadName(PkiError):
    """A certificate cannot be for this name or address."""

    code = "bad-certificate-name"
