"""The page docs/reading-bundles.md: in which order to read `bundles/`, and where each check is.

Made from the docstrings, the numbers in the code, the documented checks, the test vectors and the
threat model; scripts/gendocs.py writes it.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUNDLES = ROOT / "bundles"

#: Every module of `bundles/`, by subject, each after those that it builds on.
ORDER: Mapping[str, str] = {
    "1. What decides whether a bundle is believed": """
        errors digest format.canonical format.paths format.fields signing.sshkey signing.sshsig
        format.statement signing.trustform signing.trust signing.policy format.layout
        format.image format.content format.volume reading.verify reading.head reading.scan""",
    "2. What lies on the media": """
        reading.volumelist reading.beside reading.media reading.delivery reading.faults
        reading.tally files.hashing reading.wholes site.check reading.transit""",
    "3. Trust that changes": """
        files.keyfile signing.sshprogram signing.keys signing.trustchain signing.truststore
        signing.rotation making.cosign""",
    "4. Sealed volumes": """
        sealing.agefile signing.agekey sealing.identity files.buffers sealing.unseal
        sealing.seal""",
    "5. The import, and the store in a folder": """
        progress store store.errors store.protocol files.durable store.refs files.writeout
        store.local store.local_lock store.local_ingest site.ingest site.switch reading.doctree
        site.catalog site.images site.extract site.view store.reach store.fsck store.gc store.choice
        store.local_maintenance""",
    "6. Deltas, receipts and repairs, as they are read": """
        reading.base reading.delta reading.patch reading.packs reading.missing site.stored_base
        reading.unpack format.chunks site.receipt site.receipt_trust format.repair_request
        site.install_receipt site.install_trust""",
    "7. The builder": """
        files.yaml_events files.document files.wording sources.lock sources.artifact sources
        sources.files sources.tree sources.transfer sources.credentials sources.url
        sources.reference sources.registry sources.image sources.layouts sources.archives
        sources.chart sources.oci sources.made making.recipe packages.package
        packages packages.rpm packages.deb packages.wheel packages.listed packages.order
        making.sbom making.provenance making.plan making.fingerprint making.gather
        making.hasher making.found
        files.direct files.pending
        making.writer making.assemble making.build reading.sheet site.compare""",
    "8. The builder of deltas and repairs, and a site's inventory": """
        site.inventory making.volumebase making.match making.fill making.packvolumes
        making.deltabuild making.spool making.repair making.repairbuild""",
    "9. The store in S3": """
        store.s3 store.s3.address store.s3.keys store.s3.errors store.s3.retry store.s3.wire
        store.s3.index store.s3.lease store.s3.present store.s3.stream store.s3.multipart
        store.s3.uploads store.s3.large store.s3.unfinished store.s3.ingest store.s3.maintenance
        store.s3.store""",
}

_INTRODUCTION = """\
For whoever wants to know, and not to be told, that nothing unsigned gets into a site. A module
comes after most of those that it builds on; what section 1 says of deltas is read with section 6.
**Section 1 is what has to be right**; it does no I/O but for reading the stream it is handed. A
site that takes no deltas and no sealed volumes needs sections 1, 2, 3 and 5 to be safe; sections 7
and 8 run at the builder, whose work the others check.

Each line is the beginning of the module's own docstring. Sizes are lines with comments and blanks.

The folders stand on one another in this order, the first on nothing: `lint-imports` fails on an
import that goes the other way.
"""

_CHECKS = """\
## Where each check is

The numbers are those of [the bundle format](bundle-format.md) (0 to 17, L, RC) and of
[trust](trust.md) (T, R). In the code each stands in a comment at the line that does it: `# check 6`
or `# T3`. *Vectors* are the files of `tests/vectors/volumes` with that one fault; *attacks* the
tests that the [threat model](threat-model.md) names for it.

| check | module | vectors | attacks |
|---|---|---|---|
"""

_COMMENT = re.compile(r"# (?:check (\d+)|((?:L|RC|T|R)\d))\b")
_DOCUMENTED = re.compile(r"^(?:\| (\d+|L\d|RC\d) \||- \*\*([TR]\d)\*\* )", re.MULTILINE)
_RANGE = re.compile(r"\b(L|RC|T|R|)(\d+)(?: to (?:L|RC|T|R|)(\d+))?\b")


def reference() -> str:
    """The page."""
    text = ["# Reading `bundles/`\n", _GENERATED, _INTRODUCTION, "| room | what |", "|---|---|"]
    text += [f"| `{room.name}/` | {_purpose(room / '__init__.py')} |" for room in rooms()]
    text.append("")
    for title, names in ORDER.items():
        paths = [path_of(name) for name in names.split()]
        size = sum(len(path.read_text().splitlines()) for path in paths)
        text += [f"## {title}\n", f"{size} lines.\n", "| module | what |", "|---|---|"]
        text += [
            f"| [`{name}`](../{path.relative_to(ROOT)}) | {_purpose(path)} |"
            for name, path in zip(names.split(), paths, strict=True)
        ]
        text.append("")
    vectors, attacks, places = _vectors(), _attacks(), in_code()
    text.append(
        _CHECKS
        + "\n".join(
            f"| {number} | {', '.join(f'`{name}`' for name in sorted(places.get(number, ())))} |"
            f" {vectors[number] or ''} | {attacks[number] or ''} |"
            for number in documented()
        )
    )
    return "\n".join(text) + "\n"


_GENERATED = "<!-- Made by `make generated` from the code; do not edit. -->\n"


def rooms() -> list[Path]:
    """The folders of `bundles/`, each after those that it builds on: setup.cfg has the contract."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    layers = config["importlinter:contract:rooms"]["layers"].replace("|", "\n").split()
    return [BUNDLES / name.removeprefix("bundles.") for name in reversed(layers)]


def path_of(name: str) -> Path:
    """The file of a module, named from `bundles` on."""
    path = BUNDLES / name.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def documented() -> list[str]:
    """The numbers of all checks that the documentation has, in its order."""
    pages = ((ROOT / "docs" / name).read_text() for name in ("bundle-format.md", "trust.md"))
    found = [number or rule for page in pages for number, rule in _DOCUMENTED.findall(page)]
    return sorted(dict.fromkeys(found), key=_order)


def in_code() -> dict[str, set[str]]:
    """The modules in which each number stands."""
    found: dict[str, set[str]] = {}
    for path in sorted(BUNDLES.rglob("*.py")):
        for number, rule in _COMMENT.findall(path.read_text()):
            name = ".".join(path.relative_to(BUNDLES).with_suffix("").parts)
            found.setdefault(number or rule, set()).add(name)
    return found


def shown_by() -> Counter[str]:
    """How many vectors and tests show each number."""
    return _vectors() + _attacks()


def _vectors() -> Counter[str]:
    cases = json.loads((ROOT / "tests/vectors/cases.json").read_text())
    return Counter(str(case["check"]) for case in cases if case["expect"] != "accept")


def _attacks() -> Counter[str]:
    found = Counter[str]()
    for row in (ROOT / "docs" / "threat-model.md").read_text().splitlines():
        cells = row.split(" | ")
        if len(cells) == 3 and (tests := len(set(re.findall(r"`test_\w+`", cells[2])))):
            for number in set(_numbers(cells[1])):
                found[number] += tests
    return found


def _numbers(text: str) -> Iterator[str]:
    """``10, L1 to L5`` as the numbers that it means."""
    for kind, first, last in _RANGE.findall(text):
        for number in range(int(first), int(last or first) + 1):
            yield f"{kind}{number}"


def _order(number: str) -> tuple[int, int]:
    kind = number.rstrip("0123456789")
    return ("", "L", "RC", "T", "R").index(kind), int(number[len(kind) :])


def _purpose(path: Path) -> str:
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    first = " ".join(said.partition("\n\n")[0].split()).replace("|", "\\|")
    return re.split(r"(?<=[.!])\s(?=[A-Z])", first)[0]
