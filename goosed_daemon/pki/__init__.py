"""The site's own certification authority, and what it issues."""

from goosed_daemon.pki.authority import CA_LIFE, LEAF_LIFE, SLACK, Authority, init, load
from goosed_daemon.pki.certificate import Certificate
from goosed_daemon.pki.errors import AuthorityExists, BadName, NoAuthority, PkiError
from goosed_daemon.pki.names import Permitted, address, host, permitted

__all__ = [
    "CA_LIFE",
    "LEAF_LIFE",
    "SLACK",
    "Authority",
    "AuthorityExists",
    "BadName",
    "Certificate",
    "NoAuthority",
    "Permitted",
    "PkiError",
    "address",
    "host",
    "init",
    "load",
    "permitted",
]
