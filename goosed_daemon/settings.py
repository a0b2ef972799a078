"""What the daemon can be told, from the environment and from one YAML file.

`setting_table` declares every setting. The environment wins over the file. Importing this module is
cheap: the command line does so for every command.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundles.errors import UsageError
from goosed_daemon import setting_forms as forms
from goosed_daemon.errors import BadSetting, UnknownSetting
from goosed_daemon.home import Home
from goosed_daemon.setting_table import TABLE

if TYPE_CHECKING:
    from bundles.store.s3.address import S3Address
    from goosed_daemon.nats_address import NatsAddress

__all__ = ["Home", "Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in effect."""

    home: Home
    lab: bool
    roles: frozenset[str]
    listen: forms.Address
    boot_listen: forms.Address | None
    boot_url: str | None
    boot_files: tuple[str, ...] | None
    tls_certificate: Path
    tls_key: Path
    tls_ca: Path
    agent_certificates: bool
    tls_client_ca: Path
    db_dsn: str | None = field(repr=False)  # may hold a password
    public_url: str | None
    api_url: str | None
    token_ttl: timedelta
    replay_window: timedelta
    enrol_ttl: timedelta
    agent_token_ttl: timedelta
    agent_interval: timedelta
    arm_tries: int
    installs_at_once: int | None
    rate_address: forms.Rate | None
    rate_machine: forms.Rate | None
    boot_networks: tuple[forms.Network, ...] | None
    trusted_proxies: tuple[forms.Network, ...] | None
    max_connections: int
    cache_bytes: int
    shutdown_grace: timedelta
    ready_file: Path | None
    secrets: Path | None
    identity: Path | None
    log_level: str
    otlp_endpoint: str | None
    otlp_ca: Path | None
    otlp_headers: Mapping[str, str] | None = field(repr=False)  # may hold a secret
    otlp_metrics: timedelta | None
    artifact_reads: str
    s3_endpoint: str | None
    s3_bucket: str | None
    s3_access_key: str | None
    s3_secret_key: str | None = field(repr=False)
    s3_secure: bool
    s3_region: str | None
    nats_url: str | None = field(repr=False)  # may hold a token
    nats_ca: Path | None
    nats_credentials: Path | None
    s3_quota: int | None

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, overrides: Mapping[str, str] | None = None
    ) -> Settings:
        """The settings of `environ` (default: the process's) and of the file in its home;
        `overrides`, by key, win over both: they are what was typed on the command line.

        Raises `BadSetting` and `UnknownSetting`, each naming the variable or the file's line;
        `UsageError` for an override; `bundles.files.document` errors for a file that is not YAML.
        """
        environ = os.environ if environ is None else environ
        home = Home.find(environ)
        given = _from_file(home.config)
        given |= _from_environment(environ)
        given |= {
            key: (text, f"--{key.replace('_', '-')}") for key, text in (overrides or {}).items()
        }
        values: dict[str, Any] = {}
        for setting in TABLE:
            text, where = given.get(setting.key, (setting.default, "default"))
            try:
                values[setting.key] = None if text is None else setting.parse(text)
            except ValueError as error:
                typed = setting.key in (overrides or {})
                kind = UsageError if typed else BadSetting
                raise kind(
                    f"{where}: {error}", hint=BadSetting.default_hint, setting=setting.key
                ) from error
        _fill_in(values, home)
        if values["lab"]:
            _refuse_in_a_lab(given)
        if values["lab"] or forms.BOOTD not in values["roles"]:
            values["boot_listen"] = None
        if not values["lab"]:
            _refuse_plain(values, given)
        settings = cls(home=home, **values)
        settings.store()  # half an address is refused at once
        return settings

    def url(self) -> str:
        """Where machines reach the daemon: `public_url`, or else the address it listens on."""
        return self.public_url or f"{'http' if self.lab else 'https'}://{self.listen}"

    def boot_base(self, main: str | None = None) -> str:
        """Where machines reach the boot listener; in a lab that is the daemon itself, which they
        reach at `main`, or else as `url` tells."""
        if self.lab or self.boot_listen is None:
            return self.boot_url or main or self.url()
        return self.boot_url or f"http://{self.boot_listen}"

    def authority(self) -> str | None:
        """The authorities (PEM) that machines are to trust; None in a lab, and where there is no
        such file."""
        from goosed_daemon.tls import AuthorityFile

        return None if self.lab else AuthorityFile(self.tls_ca).pem()

    def nats(self) -> NatsAddress | None:
        """Where events are sent to; None where no one wants any."""
        if self.nats_url is None:
            return None
        from goosed_daemon.nats_address import NatsAddress

        return NatsAddress(self.nats_url, self.nats_ca, self.nats_credentials)

    def store(self) -> Path | S3Address:
        """Where the content is, for `bundles.store.open_store`. Raises `BadSetting`."""
        needed = {
            "S3_ENDPOINT": self.s3_endpoint,
            "S3_BUCKET": self.s3_bucket,
            "S3_ACCESS_KEY": self.s3_access_key,
            "S3_SECRET_KEY": self.s3_secret_key,
        }
        if not any(needed.values()):
            return self.home.store
        if lacking := [name for name, value in needed.items() if not value]:
            raise BadSetting(
                f"{', '.join(lacking)}: not set, but needed for a store in S3",
                hint="set all of them, or none for a store in the site's folder",
            )
        from bundles.store.s3.address import S3Address

        return S3Address(
            str(self.s3_endpoint),
            str(self.s3_bucket),
            str(self.s3_access_key),
            str(self.s3_secret_key),
            self.s3_secure,
            self.s3_region,
            self.s3_quota,
        )


def _fill_in(values: dict[str, Any], home: Home) -> None:
    """What depends on other settings."""
    if values["listen"] is None:
        values["listen"] = forms.Address("127.0.0.1", 8080 if values["lab"] else 8443)
    if values["tls_certificate"] is None:
        values["tls_certificate"] = home.pki / "issued" / "goosed.crt"
    if values["tls_key"] is None:
        values["tls_key"] = values["tls_certificate"].with_suffix(".key")
    for key in ("tls_ca", "tls_client_ca"):
        if values[key] is None:
            values[key] = home.pki / "ca.crt"


def _refuse_in_a_lab(given: Mapping[str, tuple[str, str]]) -> None:
    for key in _OF_TLS:
        if key in given and given[key][0] not in ("none", "false"):
            raise BadSetting(
                f"{given[key][1]} is set, but a lab serves everything over plain HTTP",
                hint="unset it, or `lab`",
                setting=key,
            )


def _refuse_plain(values: Mapping[str, Any], given: Mapping[str, tuple[str, str]]) -> None:
    for key in ("public_url", "api_url"):
        url = values[key]
        if url is not None and url.startswith("http:"):
            raise BadSetting(
                f"{given[key][1]}: {url} is not https, and what holds secrets is served over HTTPS"
                " alone",
                hint="give an https address, and the boot listener's as `boot_url`; or set `lab`",
                setting=key,
            )


_OF_TLS = (
    "boot_listen",
    "tls_certificate",
    "tls_key",
    "tls_ca",
    "agent_certificates",
    "tls_client_ca",
)


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    by_variable = {setting.variable: setting.key for setting in TABLE}
    found = {}
    for name, text in environ.items():
        if name not in by_variable:
            if not name.startswith("GOOSED_"):
                continue
            raise _unknown(name, list(by_variable), f"environment: {name}")
        if text:
            found[by_variable[name]] = (text, name)
    return found


def _from_file(path: Path) -> dict[str, tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{path} cannot be read: {error}") from error
    from bundles.files import document

    keys = [setting.key for setting in TABLE]
    found = {}
    for doc in document.load(text, str(path)):
        if doc.value is None:
            continue
        if not isinstance(doc.value, dict):
            raise BadSetting(f"{path} does not hold one mapping of settings")
        for key, value in doc.value.items():
            where = f"{path}:{doc.position((key,))[0]}: {key}"
            if key not in keys:
                raise _unknown(key, keys, where)
            if not isinstance(value, str):
                raise BadSetting(f"{where} is not a plain value", setting=key)
            if _secret(key, value) and stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise BadSetting(
                    f"{where} is a secret, and others may read the file",
                    hint=f"chmod 600 {path}",
                    setting=key,
                )
            found[key] = (value, where)
    return found


def _secret(key: str, value: str) -> bool:
    return key in ("s3_secret_key", "otlp_headers") or (key == "nats_url" and "@" in value)


def _unknown(name: str, known: list[str], where: str) -> UnknownSetting:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else None
    return UnknownSetting(f"{where} is not a setting", hint=hint, setting=name)
