"""What a machine's answers are made of, for its install receipt."""

from __future__ import annotations

from bundles import digest
from bundles.format import canonical
from bundles.site.catalog import Catalog
from bundles.site.install_receipt import Artifact
from goosed_daemon import boot
from goosed_daemon.infra import Infra, secrets
from goosed_daemon.infra.models import Machine, OSProfile
from goosed_daemon.receipts import MadeOf
from goosed_daemon.render.context import BootContext


def look(context: BootContext, catalog: Catalog) -> MadeOf:
    """What `context`, before its secrets were resolved, is made of. Raises `ArtifactMissing` where
    the store has lost it since, or `StoreError`."""
    profile = context.profile
    ref = catalog.ref(profile.bundle, context.version)
    if ref is None:
        raise boot.missing_bundle(profile)
    artifacts = []
    for path in sorted(set(_files(profile))):
        file = catalog.find(ref.name, ref.version, path)
        if file is None:
            raise boot.missing(profile, path)
        artifacts.append(Artifact(path, file.digest, file.size))
    return MadeOf(
        site=context.site.name,
        machine=context.machine.name,
        installer=profile.installer,
        profile=profile.name,
        profile_digest=_profile_digest(context),
        bundle=ref,
        artifacts=tuple(artifacts),
    )


def profile_digest(infra: Infra, machine: Machine) -> str:
    """What `look` finds of a machine's documents; the store is not asked."""
    site, profile = infra.site_of(machine), infra.profile_of(machine)
    return _profile_digest(BootContext(site, profile, machine, "", "", ""))


def _profile_digest(context: BootContext) -> str:
    """The digest of all that the site's documents say of the machine: itself, its profile and its
    site with what groups add, as canonical JSON, without what is a default. In the place of a
    secret stands where it comes from: nobody can try out passwords against a receipt.
    """
    shown = secrets.hidden(context)
    parts = {"machine": shown.machine, "profile": shown.profile, "site": shown.site}
    told = {
        name: part.model_dump(mode="json", by_alias=True, exclude_defaults=True, warnings=False)
        for name, part in parts.items()
    }
    return digest.of(canonical.dumps(told))


def _files(profile: OSProfile) -> tuple[str, ...]:
    """What firmware fetches, and the image that is applied where there is one."""
    image = boot.image_file(profile)
    return (*boot.boot_files(profile), *([image] if image is not None else []))
