"""One bundle after another: what lies on media is more than one at times, and one may fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bundles.errors import GooseError, UsageError
from goosectl import output
from goosectl.interruption import Interrupted

if TYPE_CHECKING:
    from bundles.reading.delivery import Delivery

    Work = Callable[[Delivery], tuple[dict[str, object], str]]


class BundlesFailed(GooseError):
    """Of several bundles on the media some failed; why was told for each of them."""

    code = "bundles-failed"
    default_hint = "mend what was told for each of them, then run it again"


def each(deliveries: Sequence[Delivery], work: Work) -> None:
    """Does `work`, which gives a result and its text, for every bundle.

    A single bundle's result or refusal is the command's. Of several each has its own: with --json
    an object a line on stdout, for those that failed too. Raises `BundlesFailed` after the last.
    """
    out = output.get()
    if len(deliveries) == 1:
        value, text = work(deliveries[0])
        out.result(value, text)
        return
    failed = []
    for delivery in deliveries:
        try:
            value, text = work(delivery)
        except (Interrupted, UsageError):
            raise
        except GooseError as error:
            failed.append(delivery.label)
            refused(delivery, error)
        else:
            out.result(value, text)
    if failed:
        raise BundlesFailed(
            f"{len(failed)} of {len(deliveries)} bundles failed: {', '.join(failed)}",
            failed=failed,
        )


def refused(delivery: Delivery, error: GooseError) -> None:
    """Tells why one of several bundles failed."""
    out, said = output.get(), delivery.statement or delivery.listed
    if not out.as_json:
        out.error(type(error)(f"{delivery.label}: {error.message}", hint=error.hint))
        return
    out.close()
    name, version = (said.name, said.version) if said else (delivery.label, None)
    out.result(
        {"bundle": name, "version": version, "state": "failed", **output.as_object(error)}
    )  # fmt: skip


def one_request(request: Path | None, deliveries: Sequence[Delivery]) -> None:
    """Raises UsageError when one --request should hold what several bundles lack."""
    if request is not None and len(deliveries) > 1:
        labels = ", ".join(delivery.label for delivery in deliveries)
        raise UsageError(
            f"--request is about one bundle; here are {labels}",
            hint="give the volumes of one, as in DIR/NAME-VERSION.*",
        )
