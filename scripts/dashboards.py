"""The dashboards of dashboards/: what each page shows. scripts/gendocs.py writes the files."""

from __future__ import annotations

import json
from collections.abc import Sequence

from scripts.panels import LOKI, Dashboard, Panel, Query

RATE = "[$__rate_interval]"


def files() -> dict[str, str]:
    """Each file of dashboards/ by its name."""
    pages = {"site": SITE, "api": API, "bootd": BOOTD, "orchestrator": ORCHESTRATOR}
    pages["agents"] = AGENTS
    return {
        f"{name}.json": json.dumps(page.encode(), indent=1) + "\n" for name, page in pages.items()
    }


def _requests(service: str) -> tuple[Panel, ...]:
    """The requests of one service: how many, how fast, how many fail."""
    of = f'{{service="{service}"}}'
    duration = f"http_server_duration_seconds_bucket{of}{RATE}"
    return (
        Panel(
            "Latency",
            "timeseries",
            [
                Query(f"histogram_quantile({q}, sum by (le) (rate({duration})))", name)
                for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
            ],
            "Time from a request's headers to the last byte of its response. A dot is one request:"
            " it leads to its trace.",
            unit="s",
            warn=0.5,
            bad=1,
        ),
        Panel(
            "Requests by status",
            "timeseries",
            [
                Query(
                    f"sum by (status_code) (rate(http_server_duration_seconds_count{of}{RATE}))",
                    "{{status_code}}",
                )
            ],
            "Requests a second. 410 and 401 are refusals that the service means; 5xx are faults.",
            unit="reqps",
        ),
        Panel(
            "Error rate",
            "timeseries",
            [Query(f"goose:http_error_ratio:rate5m{of}", "5xx of all")],
            "Part of the requests that ended with a 5xx. The objective is 0.1 %.",
            unit="percentunit",
            warn=0.001,
            bad=0.0144,
        ),
        Panel(
            "Requests by route",
            "timeseries",
            [
                Query(
                    f"sum by (route) (rate(http_server_duration_seconds_count{of}{RATE}))",
                    "{{route}}",
                )
            ],
            "Requests a second by the route's template.",
            unit="reqps",
            width=12,
        ),
        Panel(
            "Slowest routes",
            "timeseries",
            [
                Query(
                    "histogram_quantile(0.99, sum by (route, le)"
                    f" (rate(http_server_duration_seconds_bucket{of}{RATE})))",
                    "{{route}}",
                )
            ],
            "p99 by route.",
            unit="s",
            width=12,
        ),
    )


def _logs(service: str) -> tuple[str, Sequence[Panel]]:
    return (
        "Logs",
        (
            Panel(
                "Logs",
                "logs",
                [Query(f'{{service_name=~"{service}"}}')],
                "What the service logged. A line with a trace id leads to its trace.",
                width=24,
                height=10,
                source=LOKI,
            ),
        ),
    )


_STATES = Panel(
    "Machines by state",
    "timeseries",
    [Query("max by (state) (goosed_workflows)", "{{state}}")],
    "Where the installations of the site are. What is `failed` stays so until it is armed again.",
)
_STEPS = Panel(
    "How long a step takes (p95)",
    "timeseries",
    [
        Query(
            "histogram_quantile(0.95, sum by (step, le)"
            f" (rate(goosed_workflow_step_duration_seconds_bucket{RATE})))",
            "{{step}}",
        )
    ],
    "Of the machines that left the step. A step that grows points at what it waits for.",
    unit="s",
)
_BOOTS = Panel(
    "Boot scripts by outcome",
    "timeseries",
    [Query(f"sum by (outcome) (rate(goosed_boot_scripts_total{RATE})) * 60", "{{outcome}}")],
    "Scripts a minute: `install`, or why the machine was sent to its disk.",
    unit="cpm",
)
_REFUSALS = Panel(
    "Token refusals by reason",
    "timeseries",
    [
        Query(
            f'sum by (reason) (rate(goosed_tokens_total{{outcome="refused"}}{RATE})) * 60',
            "{{reason}}",
        )
    ],
    "Boot tokens refused a minute. Many `token-used` are a rack that reboots into its installer.",
    unit="cpm",
)

SITE = Dashboard(
    "goose-site",
    "Goose: is the rack coming up?",
    "One screen: how far the machines are, what fails, and whether what watches them is alive.",
    (
        (
            "Now",
            (
                Panel(
                    "Ready",
                    "stat",
                    [Query('max(goosed_workflows{state="ready"})')],
                    "Machines whose last installation came to its end.",
                    width=4,
                    height=4,
                ),
                Panel(
                    "Under way",
                    "stat",
                    [Query('max(goosed_workflows{state="running"})')],
                    "Machines that are armed, booting or installing.",
                    width=4,
                    height=4,
                ),
                Panel(
                    "Failed",
                    "stat",
                    [Query('max(goosed_workflows{state="failed"})')],
                    "goosectl workflow list shows them, workflow show says why.",
                    width=4,
                    height=4,
                    bad=1,
                ),
                Panel(
                    "Agents late",
                    "stat",
                    [
                        Query(
                            "count(time() - max by (machine)"
                            " (goosed_agent_last_seen_timestamp_seconds) > 900) or vector(0)"
                        )
                    ],
                    "Not heard of for a quarter of an hour: three heartbeats.",
                    width=4,
                    height=4,
                    warn=1,
                    bad=5,
                ),
                Panel(
                    "Profiles",
                    "stat",
                    [Query("min(goosed_profiles_valid)")],
                    "While they do not load, no machine is installed: goosectl infra validate.",
                    width=4,
                    height=4,
                    bad=1,
                    low_is_bad=True,
                    mappings={"1": ("valid", "green"), "0": ("broken", "red")},
                ),
                Panel(
                    "Certificate ends in",
                    "stat",
                    [Query("min(goosed_tls_certificate_expiry_timestamp_seconds > 0) - time()")],
                    "goosectl pki issue goosed renews it, without a restart.",
                    unit="s",
                    width=4,
                    height=4,
                    warn=14 * 86400,
                    bad=30 * 86400,
                    low_is_bad=True,
                ),
            ),
        ),
        (
            "The rack",
            (
                _STATES,
                _STEPS,
                _BOOTS,
                _REFUSALS,
                Panel(
                    "Steps that failed",
                    "timeseries",
                    [
                        Query(
                            "sum by (step, outcome) (increase(goosed_workflow_step_duration_seconds"
                            f'_count{{outcome!="done"}}{RATE}))',
                            "{{step}}: {{outcome}}",
                        )
                    ],
                    "Machines that left a step otherwise than done.",
                ),
                Panel(
                    "Content sent",
                    "timeseries",
                    [
                        Query(
                            f"sum by (operation) (rate(goosed_store_bytes_total{RATE}))",
                            "{{operation}}",
                        )
                    ],
                    "Bytes a second to machines, from the store or from memory.",
                    unit="Bps",
                ),
            ),
        ),
        (
            "The services",
            (
                Panel(
                    "Error rate",
                    "timeseries",
                    [Query("goose:http_error_ratio:rate5m", "{{service}}")],
                    "Part of the requests that ended with a 5xx. The objective is 0.1 %.",
                    unit="percentunit",
                    warn=0.001,
                    bad=0.0144,
                ),
                Panel(
                    "Latency (p99)",
                    "timeseries",
                    [Query("goose:http_duration_seconds:p99_5m", "{{service}}")],
                    "One request in a hundred takes longer.",
                    unit="s",
                    warn=0.5,
                    bad=1,
                ),
                Panel(
                    "Requests",
                    "timeseries",
                    [Query("goose:http_requests:rate5m", "{{service}}")],
                    "Requests a second.",
                    unit="reqps",
                ),
                Panel(
                    "What is scraped",
                    "table",
                    [Query("up")],
                    "1 where Prometheus reaches it.",
                    width=12,
                    bad=1,
                    low_is_bad=True,
                    columns={"job": "Job", "instance": "Instance", "Value": "Up"},
                ),
                Panel(
                    "Versions",
                    "table",
                    [Query("max by (service, version) (goosed_build_info)")],
                    "Which version each service is. Two of one service: an upgrade is under way.",
                    width=6,
                    columns={"service": "Service", "version": "Version", "Value": "Processes"},
                ),
                Panel(
                    "Telemetry sent and lost",
                    "timeseries",
                    [
                        Query(
                            "sum by (signal, outcome)"
                            f" (rate(goosed_telemetry_exports_total{RATE}))",
                            "{{signal}} {{outcome}}",
                        )
                    ],
                    "Spans and lines a second. `lost`: the collector does not take them; machines"
                    " go on all the same.",
                    unit="cps",
                    width=12,
                ),
                Panel(
                    "Versions here",
                    "stat",
                    [Query("max(goosed_bundle_versions)")],
                    "goosectl store ls lists them.",
                    width=3,
                ),
                Panel(
                    "Imported",
                    "stat",
                    [Query("max(goosed_last_import_timestamp_seconds) * 1000")],
                    "When the last bundle came in.",
                    unit="dateTimeFromNow",
                    width=3,
                ),
            ),
        ),
        _logs("goosed-.+"),
    ),
)

API = Dashboard(
    "goose-api",
    "Goose: API",
    "Reports of installers, agents' requests apart, and the administration.",
    (
        ("Requests", _requests("goosed-api")),
        (
            "Inside",
            (
                Panel(
                    "Event loop lag (p99)",
                    "timeseries",
                    [
                        Query(
                            "histogram_quantile(0.99, sum by (instance, le)"
                            f" (rate(goosed_event_loop_lag_seconds_bucket{RATE})))",
                            "{{instance}}",
                        )
                    ],
                    "What every request waits for at least. Above a tenth of a second the process"
                    " has too much to do: add one.",
                    unit="s",
                    warn=0.1,
                    bad=0.5,
                ),
                Panel(
                    "Connections to PostgreSQL",
                    "timeseries",
                    [Query("sum by (state) (goosed_db_connections)", "{{state}}")],
                    "`wanted` above 0 for long: the database is slow, or the pool too small.",
                ),
                Panel(
                    "Reports of installers",
                    "timeseries",
                    [
                        Query(
                            f"sum by (step) (rate(goosed_install_reports_total{RATE})) * 60",
                            "{{step}}",
                        )
                    ],
                    "Reports a minute, by the step that was reported.",
                    unit="cpm",
                ),
                Panel(
                    "Certificates taken up",
                    "timeseries",
                    [
                        Query(
                            "sum by (outcome)"
                            f" (increase(goosed_tls_certificate_loads_total{RATE}))",
                            "{{outcome}}",
                        )
                    ],
                    "`refused`: the new file cannot be used, and the old certificate stays.",
                ),
            ),
        ),
        _logs("goosed-api"),
    ),
)

BOOTD = Dashboard(
    "goose-bootd",
    "Goose: boot service",
    "Boot scripts, rendered files, tokens and content.",
    (
        (
            "Machines",
            (
                _BOOTS,
                Panel(
                    "Rendered files by status",
                    "timeseries",
                    [
                        Query(
                            "sum by (status_code) (rate(http_server_duration_seconds_count"
                            f'{{route="/v1/render/{{installer}}"}}{RATE})) * 60',
                            "{{status_code}}",
                        )
                    ],
                    "Renders a minute. 410: the token was used, has expired or was revoked.",
                    unit="cpm",
                ),
                Panel(
                    "Tokens by outcome",
                    "timeseries",
                    [
                        Query(
                            f"sum by (outcome) (rate(goosed_tokens_total{RATE})) * 60",
                            "{{outcome}}",
                        )
                    ],
                    "Boot tokens a minute: issued, offered again, claimed, refused.",
                    unit="cpm",
                ),
                _REFUSALS,
            ),
        ),
        ("Requests", _requests("goosed-bootd")),
        (
            "Content",
            (
                Panel(
                    "Sent",
                    "timeseries",
                    [
                        Query(
                            f"sum by (backend, operation) (rate(goosed_store_bytes_total{RATE}))",
                            "{{backend}} {{operation}}",
                        )
                    ],
                    "Bytes a second; `cached` came from memory.",
                    unit="Bps",
                    width=12,
                ),
                Panel(
                    "Time to open a file (p99)",
                    "timeseries",
                    [
                        Query(
                            "histogram_quantile(0.99, sum by (backend, le)"
                            f" (rate(goosed_store_operation_seconds_bucket{RATE})))",
                            "{{backend}}",
                        )
                    ],
                    "How long the store took before the first byte.",
                    unit="s",
                    width=12,
                    warn=0.25,
                    bad=1,
                ),
            ),
        ),
        _logs("goosed-bootd"),
    ),
)

ORCHESTRATOR = Dashboard(
    "goose-orchestrator",
    "Goose: orchestrator",
    "Workflows, their steps and the events that tell of them.",
    (
        (
            "Workflows",
            (
                _STATES,
                _STEPS,
                Panel(
                    "Installing, and waiting for it",
                    "timeseries",
                    [
                        Query("max(goosed_install_places_taken)", "install"),
                        Query("max(goosed_install_queue_machines)", "wait for their turn"),
                    ],
                    "`installs_at_once` limits those that install; the others ask again until it is"
                    " their turn.",
                ),
                Panel(
                    "Steps left, by outcome",
                    "timeseries",
                    [
                        Query(
                            "sum by (outcome)"
                            f" (rate(goosed_workflow_step_duration_seconds_count{RATE})) * 60",
                            "{{outcome}}",
                        )
                    ],
                    "Steps a minute.",
                    unit="cpm",
                ),
                Panel(
                    "Duration of steps",
                    "heatmap",
                    [
                        Query(
                            "sum by (le) (increase("
                            f"goosed_workflow_step_duration_seconds_bucket{RATE}))",
                            "{{le}}",
                        )
                    ],
                    "How many machines took how long for a step. A second band is a second kind of"
                    " machine, or a fault.",
                    unit="short",
                    width=24,
                    height=9,
                ),
            ),
        ),
        (
            "Inside",
            (
                Panel(
                    "Lag",
                    "timeseries",
                    [Query("max by (instance) (goosed_orchestrator_lag_seconds)", "{{instance}}")],
                    "Age of the oldest observation that the last turn took up.",
                    unit="s",
                    warn=5,
                    bad=30,
                ),
                Panel(
                    "Events that wait",
                    "timeseries",
                    [Query("max(goosed_outbox_messages)", "events")],
                    "Written with what they tell of, and not yet taken by NATS.",
                ),
                Panel(
                    "How long the oldest has waited",
                    "timeseries",
                    [Query("max(goosed_outbox_age_seconds)", "age")],
                    "Grows while NATS is away; nothing is lost.",
                    unit="s",
                    warn=60,
                    bad=300,
                ),
                Panel(
                    "Events sent",
                    "timeseries",
                    [Query(f"sum(rate(goosed_events_sent_total{RATE}))", "acknowledged")],
                    "Events a second that NATS has acknowledged.",
                    unit="cps",
                ),
                *_requests("goosed-orchestrator")[:3],
            ),
        ),
        _logs("goosed-orchestrator"),
    ),
)

AGENTS = Dashboard(
    "goose-agents",
    "Goose: agents",
    "The installed machines, as the API hears of them.",
    (
        (
            "Machines",
            (
                Panel(
                    "Last seen",
                    "table",
                    [
                        Query(
                            "sort_desc(time() - max by (machine)"
                            " (goosed_agent_last_seen_timestamp_seconds))"
                        )
                    ],
                    "Age of each machine's last heartbeat; red when it is late.",
                    unit="s",
                    width=12,
                    height=12,
                    warn=600,
                    bad=900,
                    columns={"machine": "Machine", "Value": "Last seen"},
                ),
                Panel(
                    "Heartbeats",
                    "timeseries",
                    [
                        Query(
                            f"sum by (outcome) (rate(goosed_agent_heartbeats_total{RATE})) * 60",
                            "{{outcome}}",
                        )
                    ],
                    "Heartbeats a minute, and refusals by reason.",
                    unit="cpm",
                    width=12,
                    height=6,
                ),
                Panel(
                    "Enrolments and rotations",
                    "timeseries",
                    [
                        Query(
                            f"sum by (outcome) (rate(goosed_agent_enrolments_total{RATE})) * 60",
                            "enrolment: {{outcome}}",
                        ),
                        Query(
                            f"sum by (outcome) (rate(goosed_agent_refreshes_total{RATE})) * 60",
                            "token: {{outcome}}",
                        ),
                    ],
                    "A minute. `agent-token-ended`: a token was used twice, and its family is"
                    " revoked.",
                    unit="cpm",
                    width=12,
                    height=6,
                ),
            ),
        ),
        ("Requests", _requests("goosed-agents")),
        _logs("goosed-api"),
    ),
)
