"""What a builder adds to the content: a file made of all that comes before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bundles import digest as digests
from bundles.sources.artifact import Artifact, Known, SourceFile


def expand(
    kind: str, title: str, make: Callable[[Known], bytes], before: Sequence[Artifact]
) -> Artifact:
    """The file that `make` makes of the artifacts `before` it, served as `title`.

    How long it is must not depend on the digests: it is made once without them, to be measured.
    """
    files = sum(len(artifact.files) for artifact in before)
    unknown = Known((digests.PLACEHOLDER,) * files, (digests.PLACEHOLDER,) * len(before))
    name = title.rsplit("/", 1)[-1]
    return Artifact(kind, title, (SourceFile(name, len(make(unknown)), 0o644, title, make),))
