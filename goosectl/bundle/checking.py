"""`bundle verify`: what media hold, checked to the last byte, and nothing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from goosectl import output, site, sizes
from goosectl.bundle import asking, several, since
from goosectl.bundle import words as told
from goosectl.bundle.options import BasePaths, Identities, Paths, app
from goosectl.interruption import interruptible

if TYPE_CHECKING:
    from bundles.reading.delivery import Delivery
    from bundles.reading.tally import Tally
    from bundles.reading.transit import Passed
    from bundles.site.check import Checked


@app.command()
def verify(
    paths: Paths,
    identity: Identities = None,
    request: asking.Request = None,
    base: BasePaths = None,
) -> None:
    """Check signatures and every byte.

    Names each file that is damaged and where, in the volume and in the file; and what the signed
    volume list says is missing or foreign. Sealed volumes are checked against the list where no
    --identity opens them. Of a delta all is checked that can be: the files too where the site's
    store, or --base, has what it builds on. With --request also writes what its builder needs to
    know for a repair bundle of just that.

    Example: goosectl bundle verify /media/courier --request repair.json
    """
    from bundles.reading import delivery as deliveries
    from bundles.reading import tally, transit
    from bundles.reading.faults import raise_any
    from bundles.site.check import check_volumes

    out = output.get()
    authority, policy = site.trust_root(), site.lenient_policy()
    identities = site.identities(identity)

    def check(delivery: Delivery) -> tuple[dict[str, object], str]:
        found = tally.take(delivery, authority, policy.now)
        if not identities and any(candidate.sealed for candidate in delivery.volumes):
            listed = tally.require_list(found, delivery)
            passed = transit.check(delivery.volumes, found, listed, out.progress())
            raise_any(passed.faults)
            return _passed(passed, found)
        checked = check_volumes(
            delivery.paths, authority, policy, out.progress(), identities, since.known(base), found
        )
        if request is not None and checked.faults:
            asking.write(request, checked.request())
        checked.raise_faults()
        return _checked(checked, found)

    with interruptible("the check is not complete", "run it again: it begins from the start"):
        found = deliveries.sort_out(paths, identities)
        several.one_request(request, found)
        several.each(found, check)


def _checked(checked: Checked, found: Tally) -> tuple[dict[str, object], str]:
    said = checked.statement
    text = [told.summary(said), f"signed by {', '.join(checked.signers)}: good"]
    text.append(f"{len(checked.volumes)} of {len(said.volumes)} volumes read: good")
    text += _about_list(found)
    if checked.lacking:
        text.append(f"its files are not checked: {checked.lacking.message}; see --base")
    elif checked.unchecked:
        text.append(f"{checked.unchecked} files made of the base are not checked; see --base")
    text += [f"an import here would refuse it: {code}" for code in checked.remarks]
    return {
        "bundle": said.name,
        "version": said.version,
        "sequence": said.sequence,
        "signers": list(checked.signers),
        "volumes": list(checked.volumes),
        "missing": list(checked.missing),
        "missing_files": found.missing,
        "remarks": [*checked.remarks, *found.remarks],
        "checked": "content",
        "list_signers": list(found.signers),
        "bytes_read": checked.bytes_read,
        "base": "lacking" if checked.lacking or checked.unchecked else None,
    }, "\n".join(text)


def _passed(passed: Passed, found: Tally) -> tuple[dict[str, object], str]:
    listed, count = passed.listed, len(passed.listed.volumes)
    text = [f"{listed.name} {listed.version}: sealed, {sizes.amount(count, 'volume')}"]
    text += _about_list(found)
    text.append("NOT checked: what is inside, and who signed that; whoever opens it checks it")
    numbers = range(1, count + 1)
    return {
        "bundle": listed.name,
        "version": listed.version,
        "sequence": None,
        "signers": None,
        "volumes": list(passed.volumes),
        "missing": [number for number in numbers if number not in passed.volumes],
        "missing_files": found.missing,
        "remarks": found.remarks,
        "checked": "ciphertext",
        "list_signers": list(found.signers),
        "bytes_read": passed.bytes_read,
    }, "\n".join(text)


def _about_list(found: Tally) -> list[str]:
    text = [told.REMARKS[code] for code in found.remarks]
    if found.listed:
        count, here = len(found.listed.volumes), len(found.expected)
        text.append(f"volume list signed by {', '.join(found.signers)}: good")
        text.append(f"{here} of {count} volumes are the files that it names, by SHA-256")
    if found.missing:
        text.append(f"not given: {found.absent}")
    return text
