"""Who fetches from a registry: names and passwords as `docker login` and `skopeo login` keep them.

Source: containers-auth.json(5). Helpers that keep passwords elsewhere are not asked.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from bundles.errors import GooseError

Credentials: TypeAlias = Callable[[str], str | None]  # of a registry's host: NAME:PASSWORD

_DOCKER = ("https://index.docker.io/v1/", "index.docker.io")


class BadCredentials(GooseError):
    """A file of names and passwords for registries cannot be read."""

    code = "bad-registry-credentials"
    default_hint = "write it anew with `skopeo login` or `docker login`"


def nobody(_: str) -> str | None:
    """The credentials of who has none."""
    return None


def of_files(paths: Sequence[Path]) -> Credentials:
    """The first entry for a registry in the files that are there, read when one asks for a name.

    The result raises `BadCredentials`.
    """

    def find(host: str) -> str | None:
        names = (host, *_DOCKER) if host == "docker.io" else (host, f"https://{host}")
        for path in paths:
            known = _read(path)
            for name in names:
                if name in known:
                    return known[name]
        return None

    return find


def _read(path: Path) -> dict[str, str]:
    try:
        value: Any = json.loads(path.read_bytes())
        return {
            str(host).rstrip("/") if "/v1" not in host else str(host): base64.b64decode(
                entry["auth"], validate=True
            ).decode()
            for host, entry in value.get("auths", {}).items()
            if entry.get("auth")
        }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadCredentials(f"{path}: {error.strerror}", file=str(path)) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadCredentials(
            f"{path} is no file of registries' passwords", file=str(path)
        ) from error
