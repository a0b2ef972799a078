"""The form of the events that subscribers get: CloudEvents 1.0 in JSON, a subject for each machine.

docs/events.md describes it, docs/events/machine.schema.json is its schema.
"""

from __future__ import annotations

import json
import re
from datetime import UTC

from goosed_daemon.outbox import Message

CONTENT_TYPE = "application/cloudevents+json"
_TOKEN = re.compile(r"[^A-Za-z0-9_-]")


def subject(site: str, message: Message) -> str:
    """`goose.SITE.machine.ID.EVENT`; ID is the MAC with hyphens. A dot, a space or a wildcard of
    NATS in a name becomes a hyphen."""
    machine = message.mac.replace(":", "-")
    event = message.event.replace(":", "-")
    return f"goose.{_TOKEN.sub('-', site)}.machine.{machine}.{_TOKEN.sub('-', event)}"


def envelope(site: str, message: Message) -> bytes:
    """The event as one JSON object (CloudEvents 1.0, JSON format, section 3), with the extension
    for distributed tracing."""
    event = {
        "specversion": "1.0",
        "id": message.message,
        "source": f"urn:goose:site:{site}",
        "type": f"org.goose.machine.{message.event.partition(':')[0]}",
        "subject": message.mac,
        "time": message.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "dataschema": "urn:goose:schema:machine:1",
        "traceparent": f"00-{message.trace}-{message.trace[:16]}-01",
        "data": message.data,
    }
    return json.dumps(event, separators=(",", ":")).encode()
