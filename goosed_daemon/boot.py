"""What a machine that asks for its boot script gets, up to the token."""

from __future__ import annotations

from bundles.files.document import InvalidDocument
from bundles.site.catalog import Catalog
from goosed_daemon.errors import ArtifactMissing, InsecureUrl, MachineUnknown, ProfileInvalid
from goosed_daemon.infra import Infra
from goosed_daemon.infra.isolate import Stop
from goosed_daemon.infra.match import NoMatch, match
from goosed_daemon.infra.models import Machine, OSProfile
from goosed_daemon.render.context import AgentContext, BootContext
from goosed_daemon.settings import Settings
from goosed_daemon.tls import AuthorityFile
from goosed_daemon.tokens import Offer


def recognise(infra: Infra, mac: str, uuid: str | None, serial: str | None) -> Machine:
    """The machine with these identities (`mac` normalised). Raises `MachineUnknown`, or
    `ProfileInvalid` when a mistake stops the one that has any of them."""
    if (stop := infra.stop(mac=mac, uuid=uuid and uuid.lower(), serial=serial)) is not None:
        raise stopped(stop)
    found = match(infra, mac=mac, uuid=uuid, serial=serial)
    if isinstance(found, NoMatch):
        raise MachineUnknown(found.reason, mac=mac)
    return found.machine


def stopped(stop: Stop) -> ProfileInvalid:
    """Why one machine is not installed while others are."""
    who = f"machine {stop.name}" if stop.name else "this machine"
    return ProfileInvalid(f"the infra profiles have errors that stop {who}: {stop.problem}")


def invalid_profiles(error: InvalidDocument) -> ProfileInvalid:
    """Why nothing is installed while documents are wrong, in the words of a screen."""
    first, *others = error.problems
    more = f" (and {len(others)} more)" if others else ""
    return ProfileInvalid(f"the infra profiles have errors: {first}{more}")


def insecure_site(url: str) -> InsecureUrl:
    """Why nothing is installed while the `Site` names a plain address and this is no lab."""
    return InsecureUrl(
        f"the Site's url {url} is not https, and rendered files are served over HTTPS alone"
    )


def boot_files(profile: OSProfile) -> tuple[str, ...]:
    """The paths in the profile's bundle that firmware fetches."""
    windows = profile.windows
    if windows is None:
        return (profile.kernel, *profile.initrd)
    drivers = [path for driver in windows.drivers for path in driver.files]
    brought = [windows.curl] if windows.curl is not None else []
    return (profile.kernel, *profile.initrd, *brought, *dict.fromkeys(drivers))


def check_content(catalog: Catalog, profile: OSProfile) -> None:
    """Raises `ArtifactMissing` when the store lacks what an install with `profile` would fetch:
    a token is better not spent on it."""
    bundle = profile.bundle
    if catalog.ref(bundle, None) is None:
        raise missing_bundle(profile)
    for path in boot_files(profile):
        if catalog.find(bundle, None, path) is None:
            raise missing(profile, path)
    folder = profile.repo.rstrip("/") + "/"
    if not any(file.path.startswith(folder) for file in catalog.list(bundle, None)):
        raise missing(profile, folder)
    image = image_file(profile)
    if image is not None and catalog.find(bundle, None, image) is None:
        raise missing(profile, image)


def image_file(profile: OSProfile) -> str | None:
    """The path in the profile's bundle of the image that is applied; only Windows has one."""
    if profile.windows is None:
        return None
    return f"{profile.repo.rstrip('/')}/{profile.windows.image.path}"


def missing(profile: OSProfile, path: str) -> ArtifactMissing:
    """Why nothing is installed while the bundle lacks a file that the profile names."""
    return ArtifactMissing(
        f"OSProfile {profile.name} needs {path}, which bundle {profile.bundle} does not have",
        hint=f"correct the profile, or see `goosectl store ls {profile.bundle}`",
        bundle=profile.bundle,
        path=path,
    )


def context(
    infra: Infra,
    catalog: Catalog,
    machine: Machine,
    base_url: str,
    offer: Offer | None = None,
    callback: str | None = None,
    agent: AgentContext | None = None,
    asked: str | None = None,
    *,
    boot_url: str | None = None,
    ca: str | None = None,
    api_url: str | None = None,
) -> BootContext:
    """What the renderers take, for one machine, with the bundle that is current now. `callback` is
    the secret with which the install reports its progress, `agent` is for the agent of the
    installed system, `asked` the MAC of the card that boots, `boot_url` the boot listener's where
    that is another, `ca` the authorities (PEM) that the installer is to trust, `api_url` where it
    reports, if that is not at `base_url`.

    Raises `ArtifactMissing`.
    """
    profile = infra.profile_of(machine)
    ref = catalog.ref(profile.bundle, None)
    if ref is None:
        raise missing_bundle(profile)
    return BootContext(
        site=infra.site_of(machine),
        profile=profile,
        machine=machine,
        base_url=base_url,
        artifacts=f"{base_url}/v1/artifacts/{profile.bundle}@{ref.version}",
        version=ref.version,
        token=offer.secret if offer is not None else None,
        expires=offer.token.expires_at if offer is not None else None,
        token_id=offer.token.id if offer is not None else None,
        callback=callback
        and f"{api_url or base_url}/v1/machines/{machine.mac[0]}/progress?token={callback}",
        agent=agent if profile.agent else None,
        asked=asked,
        boot_url=boot_url if boot_url != base_url else None,
        ca=ca,
    )


def agent_context(settings: Settings, base_url: str, enrolment: str) -> AgentContext:
    """What the agent of the installed system is given: where to say so, its secret, how often it
    is to be heard of, and the authorities to trust where that needs some and the site has its own.
    `base_url` is where files are rendered."""
    url = settings.api_url or base_url
    https = url.startswith("https:")
    authority = AuthorityFile(settings.tls_ca).pem() if https else None
    interval = int(settings.agent_interval.total_seconds())
    return AgentContext(url, enrolment, interval, authority)


def missing_bundle(profile: OSProfile) -> ArtifactMissing:
    """Why nothing is installed while the profile's bundle is not there."""
    return ArtifactMissing(
        f"OSProfile {profile.name} needs bundle {profile.bundle}, which is not imported",
        hint=f"run `goosectl bundle import` with the volumes of {profile.bundle}",
        bundle=profile.bundle,
    )
