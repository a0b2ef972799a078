"""Structured logs: one JSON object a line, without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

from goosed_daemon.tracing import CURRENT

# Tokens travel in queries; nothing that looks like one is written down.
_SECRET = re.compile(r"(\w*(?:token|secret|password)=)[^&;\s\"']+", re.IGNORECASE)
# Nor what looks like one by itself, wherever somebody put it: what `token_key` derives is base64url
# of 32 bytes or more, in which both cases do not fail to appear; digests have one. Admin tokens say
# what they are.
_CHARACTER = "[A-Za-z0-9_-]"
_WORD = re.compile(
    rf"(?<!{_CHARACTER})(?=[a-z0-9_-]*[A-Z])(?=[A-Z0-9_-]*[a-z]){_CHARACTER}{{43,}}"
    r"|goose_admin_[0-9A-Za-z]+"
)
HIDDEN = "[hidden]"


def redact(text: str) -> str:
    """`text` with the values of secret query parameters hidden, and what looks like a secret."""
    if "=" in text:
        text = _SECRET.sub(rf"\g<1>{HIDDEN}", text)
    return _WORD.sub(HIDDEN, text) if len(text) > 12 else text


class JsonFormatter(logging.Formatter):
    """Renders a record, with the fields of its `extra={"fields": {...}}`, as one line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(entry(record), default=str)


def entry(record: logging.LogRecord) -> dict[str, object]:
    """What is written of a record: the fields of its `extra`, the trace it belongs to if there is
    one, and no secret. It is made once, for all who write it."""
    told: dict[str, object] | None = getattr(record, "told", None)
    if told is not None:
        return told
    told = record.told = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": redact(record.getMessage()),
    }
    if (span := CURRENT.get()) is not None:
        told |= {"trace_id": span.trace, "span_id": span.span}
    for key, value in getattr(record, "fields", {}).items():
        told[key] = redact(value) if isinstance(value, str) else value
    if record.exc_info:
        told["exception"] = redact(_FORMATTER.formatException(record.exc_info))
    return told


_FORMATTER = logging.Formatter()


def configure(level: str, stream: TextIO | None = None, *more: logging.Handler) -> None:
    """Sends all logs of `level` and above to `stream` (default: stderr) as JSON lines, and to
    `more`."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler, *more]
    root.setLevel(level.upper())
