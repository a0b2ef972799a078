"""The recipe of a bundle: what goes in, under which names, for whom.

The fields are those of docs/recipes.md. Paths are relative to the recipe's folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.files import document
from bundles.format import paths, statement
from bundles.format.canonical import MAX_INTEGER
from bundles.format.image import MAX_REPOSITORY, REPOSITORY
from bundles.format.layout import RESERVED
from bundles.format.statement import Statement, Totals
from bundles.progress import Progress
from bundles.sources import Artifact, files, lock, oci, reference, tree
from bundles.sources.lock import Lock, NotLocked, Pin
from bundles.sources.reference import Local, Remote
from bundles.sources.url import Downloads, InputChanged

_NUMBERS = re.compile(r"(\d{1,4})\.(\d{1,6})(?:\.(\d{1,6}))?")


class NoSequence(GooseError):
    """A recipe has no sequence, and none follows from its version."""

    code = "no-sequence"
    default_hint = "add `sequence:`, a whole number that grows with each version"


class UnreadableRecipe(GooseError):
    """A recipe cannot be read."""

    code = "unreadable-recipe"
    default_hint = "`goosectl bundle init RECIPE` writes one to start from"


def _title(text: str) -> str:
    try:
        paths.check_path(text, "as")
    except paths.BadLayout as error:
        raise ValueError(error.message.removeprefix("as: ")) from error
    if text.split("/")[0] == RESERVED:
        raise ValueError(f"{RESERVED!r} and what is below it belong to the builder")
    return text


def _matching(form: re.Pattern[str], what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(f"{text!r} is not {what}")
        return text

    return AfterValidator(check)


def _naming(parse: Callable[[str], object]) -> AfterValidator:
    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


def _any_or_list(value: object) -> object:
    return [] if value == "any" else value


SiteId = Annotated[str, _matching(statement.NAME, "a site id (lower-case letters, digits, .-_)")]
Moment = Annotated[str, _naming(statement.parse_time)]


def _http(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("only http and https can be fetched")
    return text


NonEmpty = Annotated[str, Field(min_length=1)]


Platform = Annotated[
    str, _matching(re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?"), "a platform like linux/amd64")
]


class Entry(BaseModel):
    """One entry of `contents`: exactly one of its `SOURCES`, and the name it gets."""

    SOURCES: ClassVar = ("tree", "file", "url", "image", "chart")

    model_config = ConfigDict(extra="forbid", frozen=True)

    tree: NonEmpty | None = Field(None, description="A folder; all files below it.")
    file: NonEmpty | None = Field(None, description="One file.")
    url: Annotated[str, AfterValidator(_http)] | None = Field(
        None, description="A file fetched over HTTP, pinned by the lock."
    )
    image: Annotated[str, _naming(reference.parse)] | None = Field(
        None, description="An image for containers, pinned by the lock if in a registry."
    )
    chart: Annotated[NonEmpty, _naming(reference.parse_chart)] | None = Field(
        None, description="A Helm chart: oci://, or what `helm package` writes."
    )
    title: Annotated[str, AfterValidator(_title)] = Field(
        alias="as", description="The path under which it is served."
    )
    links: Literal["follow", "skip"] = Field(
        "follow", description="What to do with symbolic links in a tree."
    )
    platforms: Annotated[list[Platform], Field(min_length=1)] | None = Field(
        None, description="Which of an image's platforms; all, where none is named."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Entry:
        named = [key for key in self.SOURCES if getattr(self, key) is not None]
        if len(named) != 1:
            raise ValueError(f"exactly one of {_listed(self.SOURCES)} must be given")
        if self.platforms is not None and self.image is None:
            raise ValueError("platforms are an image's")
        return self

    @property
    def kind(self) -> str:
        """Of what comes as OCI: image or chart."""
        return "image" if self.chart is None else "chart"

    @property
    def oci(self) -> Remote | Local | None:
        """Where its image or chart is, if it is one."""
        if self.chart is not None:
            return reference.parse_chart(self.chart)
        return None if self.image is None else reference.parse(self.image)

    @property
    def remote(self) -> str | None:
        """What the lock calls it, if it must be pinned."""
        return str(of) if isinstance(of := self.oci, Remote) else self.url


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


class Recipe(BaseModel):
    """A bundle's recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_version: Literal["goose/v1"] = Field(alias="apiVersion", description="Always goose/v1.")
    kind: Literal["Bundle"] = Field(description="Always Bundle.")
    name: Annotated[
        str, _matching(statement.NAME, "a bundle name (lower-case letters, digits, .-_)")
    ] = Field(description="The bundle's name, the same in all its versions.")
    version: Annotated[str, _matching(statement.VERSION, "a version (letters, digits, .-_)")] = (
        Field(description="The version; a version never changes its content.")
    )
    sequence: Annotated[int, Field(ge=1, le=2**53 - 1)] | None = Field(
        None, description="Grows with each version; follows from a version like 2026.11.1."
    )
    audience: Annotated[list[SiteId], BeforeValidator(_any_or_list)] = Field(
        description="The ids of the sites it is for, or `any`."
    )
    created: Moment | None = Field(None, description="When it was made, as 2026-11-24T12:00:00Z.")
    expires: Moment | None = Field(None, description="When sites begin to refuse it.")
    contents: Annotated[list[Entry], Field(min_length=1)] = Field(description="What goes in.")

    @model_validator(mode="after")
    def _served_names(self) -> Recipe:
        for entry in self.contents:
            name = f"{self.name}/{entry.title}"
            if entry.oci and not (REPOSITORY.fullmatch(name) and len(name) <= MAX_REPOSITORY):
                raise ValueError(
                    f"{name!r} is no name of a repository, under which images are served:"
                    " lower-case letters and digits, with single . _ - and / between"
                )
        return self


def load(path: Path) -> Recipe:
    """The recipe at `path`. Raises `UnreadableRecipe` or `document.InvalidDocument`."""
    return load_with_digest(path)[0]


def load_with_digest(path: Path) -> tuple[Recipe, str]:
    """The recipe at `path` and the digest of its bytes. Raises as `load` does."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        raise UnreadableRecipe(f"{path}: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise UnreadableRecipe(f"{path}: not UTF-8 text", file=str(path)) from error
    documents = document.load(text, str(path))
    if len(documents) != 1:
        raise UnreadableRecipe(
            f"{path} holds {len(documents)} documents; a recipe is one", file=str(path)
        )
    return document.validate(documents[0], Recipe), digests.of(data)


def draft(recipe: Recipe, pins: Lock | None, epoch: int | None) -> Statement:
    """The statement as far as a recipe tells; root, totals and volumes come from the plan.

    `epoch` is SOURCE_DATE_EPOCH, seconds since 1970, if set. No clock has a say, so that the same
    inputs give the same bytes. Raises `NoSequence`.
    """
    created = recipe.created or (pins.created if pins else None)
    if created is None and epoch is not None:
        created = statement.format_time(datetime.fromtimestamp(epoch, UTC))
    return Statement(
        name=recipe.name,
        version=recipe.version,
        sequence=recipe.sequence or _sequence(recipe.version),
        audience=tuple(sorted(set(recipe.audience))),
        root="",
        root_size=0,
        totals=Totals(0, 0, 0, 0, 0, 0),
        volumes=(),
        created=created,
        expires=recipe.expires,
    )


def _sequence(version: str) -> int:
    """YEAR.MONTH.PATCH and the like as one number that grows as they do."""
    match = _NUMBERS.fullmatch(version)
    if not match:
        raise NoSequence(f"no sequence follows from the version {version!r}")
    major, minor, patch = (int(part or 0) for part in match.groups())
    sequence = (major * 10**6 + minor) * 10**6 + patch
    if sequence > MAX_INTEGER:
        raise NoSequence(f"the version {version!r} gives a sequence above 2^53")
    return sequence


def expand(
    recipe: Recipe, path: Path, pins: Lock | None, downloads: Downloads, progress: Progress
) -> list[Artifact]:
    """The artifacts of a recipe at `path`, in its order.

    Raises `SourceFault`, `NotLocked`, `DownloadFailed`, `RegistryRefused`, `BadImage` or
    `InputChanged`.
    """
    return [_expand(entry, path, pins, downloads, progress) for entry in recipe.contents]


def _expand(
    entry: Entry, path: Path, pins: Lock | None, downloads: Downloads, progress: Progress
) -> Artifact:
    title, folder, of = entry.title, path.parent, entry.oci
    if entry.tree is not None:
        return tree.expand(folder / entry.tree, title, skip_links=entry.links == "skip")
    if entry.file is not None:
        return files.expand(folder / entry.file, title)
    if isinstance(of, Local):
        return oci.expand_local(entry.kind, of, folder, title, entry.platforms or (), downloads)
    pin = pins.pin(entry.remote or "") if pins else None
    if pin is None:
        raise NotLocked(
            f"{path}: {entry.remote} is not pinned in {lock.path_for(path)}",
            hint=f"run `goosectl bundle lock {path}` and review what it pins",
        )
    if of is None:
        return downloads.expand(pin, title, progress)
    chosen = entry.platforms or ()
    return oci.expand_remote(entry.kind, of, pin, title, chosen, downloads, progress)


def make_lock(recipe: Recipe, downloads: Downloads, now: datetime, progress: Progress) -> Lock:
    """Fetches every remote input and pins what came.

    Raises `DownloadFailed`, `RegistryRefused` or `BadImage`.
    """
    pins: dict[str, Pin] = {}
    for entry in recipe.contents:
        if isinstance(of := entry.oci, Remote):
            found = oci.pin(entry.kind, of, entry.platforms or (), downloads, progress)
            before = pins.setdefault(found.url, found)
            if before != found:
                raise InputChanged(
                    f"{found.url} changed while it was pinned: {before.digest}, {found.digest}"
                )
        elif entry.url is not None and entry.url not in pins:
            pins[entry.url] = downloads.pin(entry.url, progress)
    return Lock(statement.format_time(now), tuple(pins.values()))
