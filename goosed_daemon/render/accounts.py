"""Shell that makes accounts and sets services, where an installer has no words for them."""

from __future__ import annotations

from goosed_daemon.infra.models import Services, User
from goosed_daemon.render.quoting import Quoted, shell


def sudoers(users: tuple[User, ...]) -> list[Quoted]:
    """A file of sudoers(5) for each who may become root."""
    lines = []
    for user in users:
        if user.sudo is not None:
            rule = f"{user.name} ALL=(ALL:ALL) {'NOPASSWD: ' if user.sudo == 'nopasswd' else ''}ALL"
            path = shell(f"/etc/sudoers.d/50-goose-{user.name}")
            lines += [f"(umask 227; printf '%s\\n' {shell(rule)} >{path})"]
    return [Quoted(line) for line in lines]


def keys(home: str, owner: str, listed: tuple[str, ...]) -> list[Quoted]:
    """Lets the keys log in as `owner`; nothing where there are none."""
    if not listed:
        return []
    who, folder = shell(owner), shell(f"{home}/.ssh")
    file = shell(f"{home}/.ssh/authorized_keys")
    lines = [
        f"install -d -m 700 -o {who} -g {who} {folder}",
        *(f"printf '%s\\n' {shell(key)} >>{file}" for key in listed),
        f"chown {who}:{who} {file}",
        f"chmod 600 {file}",
    ]
    return [Quoted(line) for line in lines]


def debian(users: tuple[User, ...]) -> list[Quoted]:
    """Makes the accounts on Debian, whose installer makes one at most."""
    own = {user.name for user in users}  # come with their users
    groups = dict.fromkeys(g for user in users for g in user.groups if g not in own)
    lines = [
        Quoted(f"getent group {shell(group)} >/dev/null || groupadd --system {shell(group)}")
        for group in groups
    ]
    for user in users:
        options = ["--create-home", f"--shell {shell(user.shell or '/bin/bash')}"]
        options += [f"--uid {user.uid}"] if user.uid is not None else []
        options += [f"--comment {shell(user.full_name)}"] if user.full_name is not None else []
        options += [f"--groups {shell(','.join(user.groups))}"] if user.groups else []
        if user.password_hash is not None:
            options.append(f"--password {shell(user.password_hash)}")
        lines.append(Quoted(f"useradd {' '.join(options)} {shell(user.name)}"))
        lines += keys(f"/home/{user.name}", user.name, user.ssh_keys)
    return [*lines, *sudoers(users)]


def services(wanted: Services) -> list[Quoted]:
    """What starts with the system, where the installer is not told (Debian)."""
    lines = []
    for verb, names in (("enable", wanted.enabled), ("disable", wanted.disabled)):
        if names:
            lines.append(Quoted(f"systemctl {verb} {' '.join(map(shell, names))}"))
    return lines
