"""What the commands about trust say of a trust root, and of what changes from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bundles.format.statement import format_time, parse_time

if TYPE_CHECKING:
    from bundles.signing.trust import TrustedSigner, TrustRoot
    from bundles.signing.trustchain import Link

SOON = timedelta(days=60)  # enough to gather signatures and to send a courier


def facts(root: TrustRoot) -> dict[str, object]:
    """What scripts are told of a root."""
    return {
        "fingerprint": root.fingerprint,
        "version": root.version,
        "threshold": root.threshold,
        "thresholds": dict(root.thresholds),
        "signers": [
            {
                "name": signer.name,
                "fingerprint": signer.key.fingerprint,
                "namespaces": list(signer.namespaces),
                "valid_after": signer.valid_after,
                "valid_before": signer.valid_before,
            }
            for signer in root.signers
        ],
    }


def text(root: TrustRoot) -> str:
    """What people are told of it."""
    lines = [
        f"trust root {root.fingerprint}",
        f"version {root.version}; {root.threshold} of {len(root.signers)} must sign",
    ]
    lines += [f"  {needed} for {short(name)}" for name, needed in sorted(root.thresholds.items())]
    for signer in root.signers:
        lines.append(f"  {signer.name}  {signer.key.fingerprint}")
        lines.append(f"    for {_kinds(signer)}{_validity(signer)}")
    return "\n".join(lines)


def changes(before: TrustRoot, after: TrustRoot) -> list[str]:
    """What `after` changes, each in a line."""
    from bundles.signing.sshsig import NAMESPACES

    old = {signer.name: signer for signer in before.signers}
    new = {signer.name: signer for signer in after.signers}
    lines = [
        f"removes {name} ({old[name].key.fingerprint}): counts for nothing any more"
        for name in old.keys() - new.keys()
    ]
    lines += [
        f"adds {name} ({new[name].key.fingerprint}) for {_kinds(new[name])}" + _validity(new[name])
        for name in new.keys() - old.keys()
    ]
    for name in old.keys() & new.keys():
        lines += _of_signer(old[name], new[name])
    if before.threshold != after.threshold:
        lines.append(f"threshold {after.threshold} instead of {before.threshold}")
    for namespace in NAMESPACES:
        was, now = before.threshold_for(namespace), after.threshold_for(namespace)
        if was != now and {namespace} & {*before.thresholds, *after.thresholds}:
            lines.append(f"threshold for {short(namespace)} {now} instead of {was}")
    return sorted(lines)


@dataclass(frozen=True, slots=True)
class Judged:
    """What one version says of the signatures of the next."""

    version: int
    needed: int
    signed: tuple[str, ...]  # names of those that count
    may_sign: tuple[str, ...]  # of those that would count, had they signed


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the signing of a version has come: judged by the version before and by itself."""

    judges: tuple[Judged, Judged]

    @property
    def complete(self) -> bool:
        """Whether a site that has the version before would take it now."""
        return all(len(judge.signed) >= judge.needed for judge in self.judges)

    @property
    def signed(self) -> list[str]:
        """The names of all whose signature counts for one or the other."""
        return sorted({name for judge in self.judges for name in judge.signed})

    def facts(self) -> dict[str, object]:
        """For scripts."""
        return {"complete": self.complete, "judged_by": [asdict(judge) for judge in self.judges]}

    def lines(self) -> Iterator[str]:
        """For people."""
        for judge in self.judges:
            signed = ", ".join(judge.signed) or "nobody"
            line = f"version {judge.version} asks for {judge.needed}: signed by {signed}"
            if len(judge.signed) < judge.needed:
                line += f"; can still sign: {', '.join(judge.may_sign) or 'nobody'}"
            yield line


def standing(before: TrustRoot, link: Link, now: datetime) -> Standing:
    """How far the signing of `link` has come, as a site judges it now. Raises what
    `TrustRoot.tally` raises."""
    from bundles.signing.sshsig import TRUST

    def judged(judge: TrustRoot) -> Judged:
        counted, _ = judge.tally(link.root.render(), link.signatures, TRUST, now)
        could = [s.name for s in judge.signers if s not in counted and not s.why_not(TRUST, now)]
        signed = tuple(signer.name for signer in counted)
        return Judged(judge.version, judge.threshold_for(TRUST), signed, tuple(could))

    return Standing((judged(before), judged(link.root)))


def warnings(root: TrustRoot, now: datetime) -> list[dict[str, str]]:
    """Who no longer counts, does not count yet or soon counts no more; then from when on too few
    are left. Each with a `text` for people."""
    from bundles.signing.sshsig import NAMESPACES

    found: list[dict[str, str]] = []
    for signer in root.signers:
        after, until = signer.valid_after, signer.valid_before
        if until and parse_time(until) < now:
            found.append({"signer": signer.name, "valid_before": until, "text": "has expired"})
        elif after and parse_time(after) > now:
            found.append({"signer": signer.name, "valid_after": after, "text": "is not valid yet"})
        elif until and parse_time(until) < now + SOON:
            days = (parse_time(until) - now).days
            left = f"expires in {days} days" if days else "expires within a day"
            found.append({"signer": signer.name, "valid_before": until, "text": left})
    for item in found:
        moment = item.get("valid_before") or item["valid_after"]
        item["text"] = f"{item['signer']} {item['text']}: {moment}"
    for namespace in NAMESPACES:
        end = _too_few_from(root, namespace, now)
        if end == now:
            text = f"too few signers are valid now for {short(namespace)}"
            found.append({"namespace": namespace, "text": text})
        elif end is not None and end < now + SOON:
            text = f"too few signers are left for {short(namespace)} from {format_time(end)} on"
            found.append(
                {
                    "namespace": namespace,
                    "from": format_time(end),
                    "text": f"{text}: rotate before",
                }
            )
    return found


def doubts(chain: Sequence[Link], now: datetime) -> list[str]:
    """What whoever signs the last version of `chain` should think twice about."""
    *past, link = chain
    found = [item["text"] for item in warnings(link.root, now)]
    for signer in link.root.signers:
        had = [signer.key in {one.key for one in old.root.signers} for old in past]
        if any(had) and not had[-1]:
            last = max(old.root.version for old, held in zip(past, had, strict=True) if held)
            found.append(f"{signer.name} comes back with a key that version {last + 1} removed")
    return found


def _too_few_from(root: TrustRoot, namespace: str, now: datetime) -> datetime | None:
    """The first moment from `now` on at which too few signers for `namespace` are valid; None
    when there is none, or nobody may sign at all."""
    may = [signer for signer in root.signers if namespace in signer.namespaces]
    ends = [parse_time(s.valid_before) + timedelta(seconds=1) for s in may if s.valid_before]
    for moment in sorted({now, *(end for end in ends if end > now)}):
        valid = sum(signer.why_not(namespace, moment) is None for signer in may)
        if may and valid < root.threshold_for(namespace):
            return moment
    return None


def _of_signer(old: TrustedSigner, new: TrustedSigner) -> Iterator[str]:
    if old.key != new.key:
        yield f"gives {new.name} another key: {new.key.fingerprint}, not {old.key.fingerprint}"
    if old.namespaces != new.namespaces:
        yield f"lets {new.name} sign for {_kinds(new)}"
    if (old.valid_after, old.valid_before) != (new.valid_after, new.valid_before):
        yield f"lets {new.name} sign{_validity(new) or ' without end'}"


def short(namespace: str) -> str:
    """What people call a namespace: ``bundle`` for ``goose-bundle@v1``."""
    return namespace.removeprefix("goose-").partition("@")[0]


def _kinds(signer: TrustedSigner) -> str:
    return ", ".join(map(short, signer.namespaces))


def _validity(signer: TrustedSigner) -> str:
    start = f" from {signer.valid_after}" if signer.valid_after else ""
    end = f" until {signer.valid_before}" if signer.valid_before else ""
    return start + end
