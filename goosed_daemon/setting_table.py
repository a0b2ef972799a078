"""Every setting there is: one table, which loading, its errors and docs/settings.md come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goosed_daemon import setting_forms as forms


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    key: str  # in goosed.yaml, and the attribute of Settings
    variable: str
    parse: Callable[[str], Any]  # raises ValueError
    default: str | None  # as one would write it; None: not set
    text: str  # what it does, for docs/settings.md


token_ttl = forms.span("1s", "7d")
enrol_ttl = forms.span("1m", "30d")

TABLE = (
    Setting(
        "lab",
        "GOOSED_LAB",
        forms.yes_or_no,
        "false",
        "Whether to serve everything on `listen` over plain HTTP, for a lab on a network that"
        " nobody else can reach: rendered files hold secrets.",
    ),
    Setting(
        "roles",
        "GOOSED_ROLES",
        forms.roles,
        ",".join(forms.ROLES),
        "Which parts of the daemon this process is ([roles](roles.md)), with commas between them."
        " Processes with different roles share a state and a store.",
    ),
    Setting(
        "listen",
        "GOOSED_LISTEN",
        forms.listen_address,
        None,
        "Address and port to serve on, over TLS ([how](tls.md)). Port 0 lets the system choose;"
        " the ready line and `ready_file` tell which it was. Not set: `127.0.0.1:8443`, or in a"
        " lab `127.0.0.1:8080`.",
    ),
    Setting(
        "boot_listen",
        "GOOSED_BOOT_LISTEN",
        forms.or_none(forms.listen_address),
        "127.0.0.1:8080",
        "Address and port of the boot listener: plain HTTP, for firmware that speaks no TLS, with"
        " boot scripts, kernels and ramdisks and nothing else. `none` for no such listener; a lab"
        " has none.",
    ),
    Setting(
        "boot_url",
        "GOOSED_BOOT_URL",
        forms.base_url,
        None,
        "Where machines reach the boot listener, for the addresses of kernels and ramdisks. Not"
        " set: the host that the request itself named, with the listener's port.",
    ),
    Setting(
        "boot_files",
        "GOOSED_BOOT_FILES",
        forms.words,
        None,
        "Further content that the boot listener gives out, beside the kernels and ramdisks that"
        " profiles name: patterns such as `site-base/ipxe/*.efi`, with blanks between them.",
    ),
    Setting(
        "tls_certificate",
        "GOOSED_TLS_CERTIFICATE",
        Path,
        None,
        "The certificate to serve with, PEM, with those between it and the authority below it."
        " Read again when it changes and on SIGHUP. Not set: `pki/issued/goosed.crt` in the home.",
    ),
    Setting(
        "tls_key",
        "GOOSED_TLS_KEY",
        Path,
        None,
        "Its private key, PEM. Not set: the certificate's name with the ending `.key`.",
    ),
    Setting(
        "tls_ca",
        "GOOSED_TLS_CA",
        Path,
        None,
        "The authorities, PEM, that installers and agents are to trust, brought to them by a second"
        " ramdisk. Not set: `pki/ca.crt` in the home.",
    ),
    Setting(
        "agent_certificates",
        "GOOSED_AGENT_CERTIFICATES",
        forms.yes_or_no,
        "false",
        "Whether agents must prove themselves by a certificate for their machine, beside their"
        " token (`goosectl pki issue MACHINE --client`).",
    ),
    Setting(
        "tls_client_ca",
        "GOOSED_TLS_CLIENT_CA",
        Path,
        None,
        "The authorities, PEM, whose certificates prove agents. Not set: `pki/ca.crt` in the home.",
    ),
    Setting(
        "db_dsn",
        "DB_DSN",
        forms.dsn,
        None,
        "Where PostgreSQL keeps the state, `postgresql://USER:PASSWORD@HOST/DATABASE` or another"
        " connection string of libpq, whose TLS options it takes too (`sslmode=verify-full`)."
        " Not set: `state.db` in the home, for one daemon.",
    ),
    Setting(
        "public_url",
        "GOOSED_PUBLIC_URL",
        forms.base_url,
        None,
        "Where machines reach this daemon, for the addresses in scripts and rendered files."
        " Not set: the host that the request itself named.",
    ),
    Setting(
        "api_url",
        "GOOSED_API_URL",
        forms.base_url,
        None,
        "Where installers report and agents enrol, where that is another address than the one that"
        " files are rendered and fetched at. Not set: the same.",
    ),
    Setting(
        "token_ttl",
        "GOOSED_TOKEN_TTL",
        token_ttl,
        "30m",
        "How long a boot token may wait for its render, counted from its issue.",
    ),
    Setting(
        "replay_window",
        "GOOSED_REPLAY_WINDOW",
        forms.span("0s", "10m"),
        "0s",
        "How long after a render its response may be told again, to the same address, for the same"
        " machine and in the very same bytes: for installers whose network loses responses. 0 tells"
        " it once.",
    ),
    Setting(
        "enrol_ttl",
        "GOOSED_ENROL_TTL",
        enrol_ttl,
        "12h",
        "How long the enrolment secret in a rendered file waits for the agent of the installed"
        " system, counted from the render.",
    ),
    Setting(
        "agent_token_ttl",
        "GOOSED_AGENT_TOKEN_TTL",
        forms.span("1m", "365d"),
        "7d",
        "How long an agent's token lasts. It is refreshed when between a quarter and a half of that"
        " is left, so that a machine may be off for as long as this without being enrolled anew.",
    ),
    Setting(
        "agent_interval",
        "GOOSED_AGENT_INTERVAL",
        forms.span("10s", "1d"),
        "5m",
        "How often an installed agent says that its machine is alive.",
    ),
    Setting(
        "arm_tries",
        "GOOSED_ARM_TRIES",
        forms.whole(1, 100),
        "3",
        "How many boot tokens an armed machine may be given before it must be armed again.",
    ),
    Setting(
        "installs_at_once",
        "GOOSED_INSTALLS_AT_ONCE",
        forms.or_none(forms.whole(1, 100_000)),
        "none",
        "How many machines may install at once; further ones are told their place in the queue and"
        " ask again until it is their turn ([how](workflows.md)). The same for all daemons of a"
        " site. `none` for no limit.",
    ),
    Setting(
        "rate_address",
        "GOOSED_RATE_ADDRESS",
        forms.or_none(forms.rate),
        "600/10s",
        "How many requests an address may send at once, and again in each span; of IPv6 a /64"
        " counts as one. Content and monitoring are not counted. `none` for no limit.",
    ),
    Setting(
        "rate_machine",
        "GOOSED_RATE_MACHINE",
        forms.or_none(forms.rate),
        "30/1m",
        "The same for one machine, by its MAC, from one address. `none` for no limit.",
    ),
    Setting(
        "boot_networks",
        "GOOSED_BOOT_NETWORKS",
        forms.networks,
        None,
        "Networks that machines boot from, with blanks between them: boot scripts, rendered files,"
        " content and reports of installs are for them alone. Not set: any.",
    ),
    Setting(
        "trusted_proxies",
        "GOOSED_TRUSTED_PROXIES",
        forms.networks,
        None,
        "Addresses of proxies of yours, as networks with blanks between them: what they say in"
        " X-Forwarded-For is believed. Not set: the header is ignored.",
    ),
    Setting(
        "max_connections",
        "GOOSED_MAX_CONNECTIONS",
        forms.whole(10, 100_000),
        "4096",
        "Connections that a listener holds at most; further ones are closed at once.",
    ),
    Setting(
        "cache_bytes",
        "GOOSED_CACHE_BYTES",
        forms.whole(0, 1 << 40),
        str(64 << 20),
        "Memory for small content (files of at most 64 KiB), in bytes; 0 turns the cache off.",
    ),
    Setting(
        "shutdown_grace",
        "GOOSED_SHUTDOWN_GRACE",
        forms.span("0s", "1d"),
        "60s",
        "How long requests in flight may go on after SIGTERM or SIGINT before they are cut.",
    ),
    Setting(
        "ready_file",
        "GOOSED_READY_FILE",
        Path,
        None,
        "A file written, in one step, once the daemon answers: a JSON object with `url` and"
        " `pid`. Removed on shutdown.",
    ),
    Setting(
        "secrets",
        "GOOSED_SECRETS",
        Path,
        None,
        "The folder of the files that profiles name as `secretFrom`. Not set: `secrets` in the"
        " home.",
    ),
    Setting(
        "identity",
        "GOOSED_IDENTITY",
        Path,
        None,
        "The age identity, or SSH key, that opens the encrypted secrets in profiles. Not set:"
        " `keys/site.agekey` in the home.",
    ),
    Setting(
        "log_level",
        "GOOSED_LOG_LEVEL",
        forms.one_of("debug", "info", "warning", "error"),
        "info",
        "The least severity that is logged. Logs are JSON lines on stderr.",
    ),
    Setting(
        "otlp_endpoint",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        forms.base_url,
        None,
        "A collector that takes traces and logs by OTLP over HTTP, such as `http://collector:4318`"
        " ([how](observability.md)). Not set: none are sent. Metrics are scraped in any case.",
    ),
    Setting(
        "otlp_ca",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        Path,
        None,
        "PEM file of the authorities that the collector's certificate is checked against. Not set:"
        " the system's.",
    ),
    Setting(
        "otlp_headers",
        "OTEL_EXPORTER_OTLP_HEADERS",
        forms.headers,
        None,
        "Headers sent to the collector with everything, as `NAME=VALUE,NAME=VALUE`, their values"
        " percent-encoded: what shows it who the daemon is.",
    ),
    Setting(
        "otlp_metrics",
        "GOOSED_OTLP_METRICS",
        forms.or_none(forms.span("1s", "1h")),
        "none",
        "How often metrics are sent to the collector, such as `15s`. `none` while they are scraped:"
        " who does both counts everything twice.",
    ),
    Setting(
        "artifact_reads",
        "GOOSED_ARTIFACT_READS",
        forms.one_of("proxied", "redirected"),
        "proxied",
        "How large content in an S3 store reaches machines: through the daemon, or by a redirect"
        " to an address at the S3 service that is signed for a few minutes ([store](store-s3.md)).",
    ),
    Setting(
        "s3_endpoint",
        "S3_ENDPOINT",
        forms.s3_endpoint,
        None,
        "The S3 service that holds the store, as HOST or HOST:PORT. Set together with bucket and"
        " keys; `goosectl` uses them too. Not set: the store is the folder `store` of the home.",
    ),
    Setting(
        "s3_bucket", "S3_BUCKET", forms.s3_bucket, None, "The bucket of the store. It must exist."
    ),
    Setting(
        "s3_access_key", "S3_ACCESS_KEY", forms.word, None, "The key to the bucket, by its id."
    ),
    Setting(
        "s3_secret_key",
        "S3_SECRET_KEY",
        forms.word,
        None,
        "The secret of that key. In `goosed.yaml` only if nobody else may read the file.",
    ),
    Setting(
        "s3_secure",
        "S3_SECURE",
        forms.yes_or_no,
        "true",
        "Whether to use TLS. Certificates are checked against the system's authorities, or those"
        " in the file that `SSL_CERT_FILE` names.",
    ),
    Setting(
        "s3_region",
        "S3_REGION",
        forms.word,
        None,
        "The region of the bucket. Not set: the service is asked.",
    ),
    Setting(
        "s3_quota",
        "S3_QUOTA",
        forms.whole(1, 1 << 60),
        None,
        "How many bytes the bucket may hold: the quota that its service enforces. Imports and"
        " `doctor` then count what it holds, and an import that does not fit is refused before it"
        " writes. Not set: S3 cannot tell; a full service ends the import, which goes on later.",
    ),
    Setting(
        "nats_url",
        "NATS_URL",
        forms.nats_url,
        None,
        "Where NATS with JetStream takes the events of machines ([events](events.md)):"
        " `nats://HOST:PORT`, or `tls://` where it must be TLS. A token or USER:PASSWORD may"
        " stand before the host. Not set: no events are sent, and none are kept.",
    ),
    Setting(
        "nats_ca",
        "GOOSED_NATS_CA",
        Path,
        None,
        "PEM file of the authorities that NATS's certificate is checked against. Not set: the"
        " system's.",
    ),
    Setting(
        "nats_credentials",
        "GOOSED_NATS_CREDENTIALS",
        Path,
        None,
        "Credentials file (`.creds`) that shows NATS who the daemon is.",
    ),
)


def reference() -> str:
    """docs/settings.md."""
    rows = []
    for row in TABLE:
        default = f"`{row.default}`" if row.default is not None else "not set"
        rows.append(f"| `{row.key}` | `{row.variable}` | {default} | {row.text} |")
    return _PAGE.format(rows="\n".join(rows))


_PAGE = """\
# Settings

Generated from `goosed_daemon/setting_table.py`; do not edit.

The daemon takes its settings from the environment and from `goosed.yaml` in its home; the
environment wins. An empty variable counts as not set. An unknown `GOOSED_*` variable and an unknown
key of the file are errors that name the nearest known one.

`GOOSE_HOME` is the site's folder, for the daemon and for `goosectl`: store, trust roots, profiles,
keys, state and `goosed.yaml`. Default: `/var/lib/goose` for root, for others `$XDG_DATA_HOME/goose`
(`~/.local/share/goose`).

| in `goosed.yaml` | in the environment | default | what it does |
|---|---|---|---|
{rows}
"""
