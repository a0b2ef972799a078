"""What the daemon refuses, and the HTTP status each refusal answers with.

The codes are the reason codes of the HTTP interface, of the audit log and of the metrics.
"""

from __future__ import annotations

from typing import ClassVar

from bundles.errors import GooseError


class DaemonError(GooseError):
    """Base of the daemon's refusals; `status` is what HTTP clients see."""

    code = "daemon-failed"
    status: ClassVar[int] = 500


class BadSetting(DaemonError):
    """A setting has a value that it cannot have."""

    code = "bad-setting"
    default_hint = "docs/settings.md lists every setting and its form"


class UnknownSetting(BadSetting):
    """A setting does not exist."""

    code = "unknown-setting"


class CannotListen(DaemonError):
    """The address to serve on cannot be had."""

    code = "cannot-listen"
    default_hint = "choose another with --listen, or stop what listens there (`ss -ltnp`)"


class TlsUnusable(DaemonError):
    """There is no certificate to serve with, or none that can be used."""

    code = "tls-unusable"
    default_hint = (
        "`goosectl pki init --permit NETWORK` makes an authority, `goosectl pki issue goosed --ip"
        " ADDRESS` a certificate of it; a lab goes without by `lab: true` (GOOSED_LAB=true)"
    )
    status = 503


class CertificateEnded(DaemonError):
    """The certificate that the daemon serves with is not valid now."""

    code = "certificate-ended"
    default_hint = "look at the clock, or renew it: `goosectl pki issue goosed --renew`"
    status = 503


class BootListenerOnly(DaemonError):
    """The boot listener does not give this out: it is to be asked for over HTTPS."""

    code = "not-on-boot-listener"
    default_hint = "ask over HTTPS; see docs/tls.md"
    status = 404


class RoleElsewhere(DaemonError):
    """This process has not the role that gives this out: another process of the site has."""

    code = "role-elsewhere"
    default_hint = "ask the process that has the role; see docs/roles.md"
    status = 404


class InsecureUrl(DaemonError):
    """Machines are told to fetch rendered files where HTTPS is not spoken."""

    code = "insecure-url"
    default_hint = "make `url` of the Site an https address, or set `lab`"
    status = 503


class TooManyRequests(DaemonError):
    """More was asked for in a short time than one address, or one machine, needs."""

    code = "too-many-requests"
    default_hint = (
        "wait as long as Retry-After says; `rate_address` and `rate_machine` set how many"
    )
    status = 503  # and not 429: iPXE and curl wait for this one


class NotABootNetwork(DaemonError):
    """The request comes from a network that no machine boots from."""

    code = "not-a-boot-network"
    default_hint = "`boot_networks` lists those that machines boot from"
    status = 403


class RequestTimeout(DaemonError):
    """A request's body did not come in time."""

    code = "request-timeout"
    default_hint = "send it again, at once"
    status = 408


class CertificateNeeded(DaemonError):
    """An agent must prove itself by a certificate for its machine, and did not."""

    code = "certificate-needed"
    default_hint = "`goosectl pki issue MACHINE --client` makes one; or unset `agent_certificates`"
    status = 403


class StateError(DaemonError):
    """The state database failed."""

    code = "state-failed"
    default_hint = "look at the disk or service behind the state, then try again"
    status = 503


class StateBusy(StateError):
    """Another writer held the state for too long."""

    code = "state-busy"
    default_hint = "try again; if it stays so, look for a process that holds the database"


class MigrationError(StateError):
    """The state cannot be brought to this version."""

    code = "migration-failed"
    default_hint = "run `goosectl db status`; restore the state from a backup if it was edited"


class StateTooNew(MigrationError):
    """The state was written by a newer version."""

    code = "state-too-new"
    default_hint = "run the newer version, or restore the state that this version wrote"


class AuditBroken(DaemonError):
    """The audit log is not what its seals say."""

    code = "audit-broken"
    default_hint = "keep the database as it is for whoever looks into it; restore from a backup"


class BadTokenKey(DaemonError):
    """The key that boot tokens are derived from cannot be used."""

    code = "bad-token-key"
    default_hint = "remove the file: a new key is made, and tokens issued so far end"


class BadInstallKey(DaemonError):
    """The key that signs install receipts cannot be used."""

    code = "bad-install-key"
    default_hint = "restore it from a backup; a new one is another key to whoever checks receipts"


class NoInstallKey(DaemonError):
    """The site has no key for install receipts yet."""

    code = "no-install-key"
    default_hint = "the orchestrator makes it when it starts: goosectl serve"
    status = 404


class TokenUnknown(DaemonError):
    """No such token was ever issued here."""

    code = "token-unknown"
    default_hint = "boot the machine again: an armed machine gets a new token"
    status = 404


class TokenUsed(DaemonError):
    """The token was used before; one-time means one time."""

    code = "token-used"
    default_hint = "boot the machine again: while it is armed and has tries left it gets a new one"
    status = 410


class TokenExpired(DaemonError):
    """The token was not used in time."""

    code = "token-expired"
    default_hint = "boot the machine again, or raise `token_ttl` if this happens to slow machines"
    status = 410


class TokenRevoked(DaemonError):
    """The token was revoked."""

    code = "token-revoked"
    default_hint = "boot the machine again: while it is armed it gets a new one"
    status = 410


class EnrolmentUnknown(DaemonError):
    """No such enrolment secret was ever issued here."""

    code = "enrolment-unknown"
    default_hint = "`goosectl agent re-enrol MACHINE` issues one"
    status = 404


class EnrolmentUsed(DaemonError):
    """The enrolment secret was used before; it is good for one agent."""

    code = "enrolment-used"
    default_hint = "find out who used it; `goosectl agent re-enrol MACHINE` issues another"
    status = 410


class EnrolmentExpired(DaemonError):
    """The enrolment secret was not used in time."""

    code = "enrolment-expired"
    default_hint = "`goosectl agent re-enrol MACHINE` issues another; or raise `enrol_ttl`"
    status = 410


class EnrolmentRevoked(DaemonError):
    """The enrolment secret was ended: by an operator or by a later one."""

    code = "enrolment-revoked"
    default_hint = "`goosectl agent re-enrol MACHINE` issues another"
    status = 410


class AgentUnknown(DaemonError):
    """No agent of this machine ever enrolled."""

    code = "agent-unknown"
    default_hint = "see `goosectl agent list`; `goosectl agent re-enrol MACHINE` lets one enrol"
    status = 404


class AgentTokenUnknown(DaemonError):
    """The token is none that was issued to this machine's agent."""

    code = "agent-token-unknown"
    default_hint = "`goosectl agent re-enrol MACHINE` lets it enrol anew"
    status = 401


class AgentTokenExpired(DaemonError):
    """The agent did not refresh its token in time."""

    code = "agent-token-expired"
    default_hint = "`goosectl agent re-enrol MACHINE` lets it enrol anew"
    status = 401


class AgentTokenEnded(DaemonError):
    """A token was used that another has replaced: two have it, so that the agent is cut off."""

    code = "agent-token-ended"
    default_hint = "find out who has the token, then `goosectl agent re-enrol MACHINE`"
    status = 401


class AgentRevoked(DaemonError):
    """The agent was cut off: by an operator, by a later enrolment, or since a token was re-used."""

    code = "agent-revoked"
    default_hint = "`goosectl agent show MACHINE` says why; `goosectl agent re-enrol` mends it"
    status = 401


class AdminTokenExists(DaemonError):
    """An admin token of this name is active."""

    code = "admin-token-exists"
    default_hint = "choose another name, or end it with `goosectl admin-token revoke NAME`"
    status = 409


class AdminTokenUnknown(DaemonError):
    """No admin token of this name is active."""

    code = "admin-token-unknown"
    default_hint = "see `goosectl admin-token list`"
    status = 404


class NotAuthenticated(DaemonError):
    """A request to the administration API bears no token."""

    code = "not-authenticated"
    default_hint = "send `Authorization: Bearer TOKEN`; `goosectl admin-token new` makes one"
    status = 401


class BadAdminToken(NotAuthenticated):
    """A request bears a token that is none, or none any more."""

    code = "bad-admin-token"
    default_hint = "`goosectl admin-token list` says what became of it; `new` makes another"


class RoleTooLow(DaemonError):
    """The token's role does not allow this."""

    code = "role-too-low"
    default_hint = "use a token of that role: `goosectl admin-token new NAME --role ROLE`"
    status = 403


class TooManyFailures(DaemonError):
    """Too many requests from this address bore no good token."""

    code = "too-many-failures"
    default_hint = "wait as long as Retry-After says, then send a good token"
    status = 429


class MachineUnknown(DaemonError):
    """No profile describes the machine."""

    code = "machine-unknown"
    default_hint = "add a Machine document with its MAC to the infra folder"
    status = 404


class MachineNotArmed(DaemonError):
    """The machine is known, but nobody said that it may be installed."""

    code = "machine-not-armed"
    default_hint = "run `goosectl machine arm NAME` to let it install"
    status = 409


class TriesExhausted(DaemonError):
    """The machine used up the tries that it was armed with."""

    code = "tries-exhausted"
    default_hint = "find out why it failed, then run `goosectl machine arm NAME` again"
    status = 409


class MachineWaits(DaemonError):
    """As many machines install as may do so at once; this one asks again until it is its turn."""

    code = "machine-waits"
    default_hint = "`installs_at_once` is how many may; `goosectl workflow list` shows who does"
    status = 503


class NoWorkflow(DaemonError):
    """The machine was never armed, so that there is nothing to follow."""

    code = "no-workflow"
    default_hint = "`goosectl machine arm NAME` begins one; `goosectl workflow list` shows all"
    status = 404


class NoReceipt(DaemonError):
    """There is no install receipt of the machine, or of that token."""

    code = "no-receipt"
    default_hint = "a receipt begins with a machine's render: see `goosectl workflow show NAME`"
    status = 404


class ReceiptNotSigned(DaemonError):
    """The machine's installation has not come to its end, when its receipt is signed."""

    code = "receipt-not-signed"
    default_hint = "`goosectl workflow show NAME` tells what the machine waits for"
    status = 404


class RolloutUnknown(DaemonError):
    """No such rollout was ever started here."""

    code = "rollout-unknown"
    default_hint = "see `goosectl rollout list`"
    status = 404


class RolloutOver(DaemonError):
    """The rollout is at its end, so that nothing of it can be paused or gone on with."""

    code = "rollout-over"
    default_hint = "start another with `goosectl rollout start`"
    status = 409


class ProfileInvalid(DaemonError):
    """The infra profiles have errors that stop a machine, or all of them."""

    code = "profile-invalid"
    default_hint = "run `goosectl infra validate`: it lists every error with file and line"
    status = 503


class SecretMissing(DaemonError):
    """A secret that a profile names by reference is not there."""

    code = "secret-missing"
    default_hint = "docs/profiles.md says where secrets are kept"
    status = 503


class SecretExposed(DaemonError):
    """Others than the daemon may read a secret, or the identity that opens secrets."""

    code = "secret-exposed"
    default_hint = "chmod 600 the file, and make a new secret if others were there"
    status = 503


class SecretUnreadable(DaemonError):
    """A secret is there, but cannot be read, opened or used where it stands."""

    code = "secret-unreadable"
    default_hint = "docs/profiles.md says what a secret may be"
    status = 503


class WrongInstaller(DaemonError):
    """A rendered file was asked for that is not the machine's installer's."""

    code = "wrong-installer"
    default_hint = "ask for the file that the boot script names"
    status = 409


class BadQuery(DaemonError):
    """A request lacks something, or has it in a form that it cannot have."""

    code = "bad-query"
    default_hint = "docs/http-api.md describes every route"
    status = 400


class BadBody(DaemonError):
    """The body of a request lacks something, or has it in a form that it cannot have."""

    code = "bad-body"
    default_hint = "/openapi.json describes the body of every route"
    status = 400


class BodyTooLarge(DaemonError):
    """The body of a request is larger than any that is needed."""

    code = "body-too-large"
    default_hint = "/openapi.json describes the body of every route"
    status = 413


class NoJson(DaemonError):
    """The body of a request is not said to be JSON."""

    code = "no-json"
    default_hint = "send it with `Content-Type: application/json`"
    status = 415


class ArtifactMissing(DaemonError):
    """The content asked for is not in the store."""

    code = "artifact-missing"
    default_hint = "run `goosectl store ls` to see what is imported"
    status = 404


class RepositoryUnknown(DaemonError):
    """No imported bundle has an image or chart of that name."""

    code = "repository-unknown"
    default_hint = "names are BUNDLE/AS, as `goosectl store ls` shows them"
    status = 404


class ManifestUnknown(DaemonError):
    """An image has no manifest under that tag or digest."""

    code = "manifest-unknown"
    status = 404


class ImageBlobUnknown(DaemonError):
    """An image has no blob of that digest."""

    code = "image-blob-unknown"
    default_hint = (
        "it may be of a platform that the bundle leaves out: see `platforms` of its recipe"
    )
    status = 404


class DigestInvalid(DaemonError):
    """A registry's client asks by what is neither a tag nor a digest."""

    code = "digest-invalid"
    default_hint = "a digest is sha256: and 64 hexadecimal digits"
    status = 400


class RouteUnknown(DaemonError):
    """The daemon serves nothing at this address."""

    code = "route-unknown"
    default_hint = "docs/http-api.md lists every route"
    status = 404


class MethodNotAllowed(DaemonError):
    """The route exists, but not for this method."""

    code = "method-not-allowed"
    default_hint = "the Allow header names the methods"
    status = 405
