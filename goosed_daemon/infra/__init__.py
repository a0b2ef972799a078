"""What a site knows of its machines: profiles read from YAML, checked, and looked up.

`load` reads a folder into an `Infra`; `Profiles` does so again when the folder changes.
"""

from __future__ import annotations

from goosed_daemon.infra.known import Infra
from goosed_daemon.infra.load import load, load_good
from goosed_daemon.infra.watch import Profiles

__all__ = ["Infra", "Profiles", "load", "load_good"]
