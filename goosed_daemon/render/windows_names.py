"""What Windows calls time zones, keyboards, languages and computers.

Time zones: CLDR, `windowsZones`, the zones asked for most. Keyboards: "Default input profiles in
Windows", `language:layout` in hexadecimal.
"""

from __future__ import annotations

import re

from goosed_daemon.render.quoting import Unquotable


class UnknownToWindows(Unquotable):
    """A setting has no counterpart on Windows, or none that Goose knows."""

    code = "unknown-to-windows"
    default_hint = "docs/windows.md lists what has one"


TIME_ZONES = {
    "UTC": "UTC",
    "Etc/UTC": "UTC",
    "Europe/London": "GMT Standard Time",
    "Europe/Dublin": "GMT Standard Time",
    "Europe/Lisbon": "GMT Standard Time",
    "Europe/Berlin": "W. Europe Standard Time",
    "Europe/Vienna": "W. Europe Standard Time",
    "Europe/Zurich": "W. Europe Standard Time",
    "Europe/Rome": "W. Europe Standard Time",
    "Europe/Amsterdam": "W. Europe Standard Time",
    "Europe/Stockholm": "W. Europe Standard Time",
    "Europe/Oslo": "W. Europe Standard Time",
    "Europe/Luxembourg": "W. Europe Standard Time",
    "Europe/Paris": "Romance Standard Time",
    "Europe/Brussels": "Romance Standard Time",
    "Europe/Madrid": "Romance Standard Time",
    "Europe/Copenhagen": "Romance Standard Time",
    "Europe/Prague": "Central Europe Standard Time",
    "Europe/Budapest": "Central Europe Standard Time",
    "Europe/Belgrade": "Central Europe Standard Time",
    "Europe/Ljubljana": "Central Europe Standard Time",
    "Europe/Bratislava": "Central Europe Standard Time",
    "Europe/Warsaw": "Central European Standard Time",
    "Europe/Zagreb": "Central European Standard Time",
    "Europe/Helsinki": "FLE Standard Time",
    "Europe/Kyiv": "FLE Standard Time",
    "Europe/Riga": "FLE Standard Time",
    "Europe/Vilnius": "FLE Standard Time",
    "Europe/Tallinn": "FLE Standard Time",
    "Europe/Sofia": "FLE Standard Time",
    "Europe/Athens": "GTB Standard Time",
    "Europe/Bucharest": "GTB Standard Time",
    "Europe/Istanbul": "Turkey Standard Time",
    "Europe/Moscow": "Russian Standard Time",
    "America/New_York": "Eastern Standard Time",
    "America/Toronto": "Eastern Standard Time",
    "America/Chicago": "Central Standard Time",
    "America/Denver": "Mountain Standard Time",
    "America/Phoenix": "US Mountain Standard Time",
    "America/Los_Angeles": "Pacific Standard Time",
    "America/Vancouver": "Pacific Standard Time",
    "America/Anchorage": "Alaskan Standard Time",
    "America/Halifax": "Atlantic Standard Time",
    "America/Sao_Paulo": "E. South America Standard Time",
    "America/Bogota": "SA Pacific Standard Time",
    "Pacific/Honolulu": "Hawaiian Standard Time",
    "Africa/Johannesburg": "South Africa Standard Time",
    "Africa/Cairo": "Egypt Standard Time",
    "Asia/Jerusalem": "Israel Standard Time",
    "Asia/Dubai": "Arabian Standard Time",
    "Asia/Riyadh": "Arab Standard Time",
    "Asia/Kolkata": "India Standard Time",
    "Asia/Bangkok": "SE Asia Standard Time",
    "Asia/Singapore": "Singapore Standard Time",
    "Asia/Hong_Kong": "China Standard Time",
    "Asia/Shanghai": "China Standard Time",
    "Asia/Taipei": "Taipei Standard Time",
    "Asia/Seoul": "Korea Standard Time",
    "Asia/Tokyo": "Tokyo Standard Time",
    "Australia/Sydney": "AUS Eastern Standard Time",
    "Australia/Melbourne": "AUS Eastern Standard Time",
    "Australia/Brisbane": "E. Australia Standard Time",
    "Australia/Perth": "W. Australia Standard Time",
    "Pacific/Auckland": "New Zealand Standard Time",
}

KEYBOARDS = {
    "us": "0409:00000409",
    "gb": "0809:00000809",
    "uk": "0809:00000809",
    "de": "0407:00000407",
    "fr": "040c:0000040c",
    "it": "0410:00000410",
    "es": "0c0a:0000040a",
    "pt": "0816:00000816",
    "br": "0416:00000416",
    "nl": "0413:00020409",
    "be": "0813:00000813",
    "ch": "0807:00000807",
    "dk": "0406:00000406",
    "se": "041d:0000041d",
    "no": "0414:00000414",
    "fi": "040b:0000040b",
    "pl": "0415:00000415",
    "cz": "0405:00000405",
    "hu": "040e:0000040e",
    "ru": "0419:00000419",
    "tr": "041f:0000041f",
    "jp": "0411:00000411",
}

_COMPUTER = re.compile(r"(?!\d+$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,13}[A-Za-z0-9])?", re.ASCII)


def time_zone(name: str) -> str:
    """Windows' name of the time zone `name`. Raises `UnknownToWindows`."""
    return _of(TIME_ZONES, name, "time zone")


def keyboard(name: str) -> str:
    """Windows' identifier of the keyboard `name`. Raises `UnknownToWindows`."""
    return _of(KEYBOARDS, name, "keyboard")


def language(locale: str) -> str:
    """The language tag of a POSIX locale: `en-US` of `en_US.UTF-8`."""
    return locale.partition(".")[0].replace("_", "-")


def computer(hostname: str) -> str:
    """The computer name of a host: its name up to the first dot. Raises `UnknownToWindows` where
    that is none: Windows takes 15 letters, digits and hyphens, not digits alone."""
    name = hostname.partition(".")[0]
    if not _COMPUTER.fullmatch(name):
        raise UnknownToWindows(
            f"{name} is no computer name of Windows: at most 15 letters, digits and inner hyphens,"
            " and not digits alone",
            hint="give the machine a shorter hostname",
        )
    return name


def _of(table: dict[str, str], name: str, what: str) -> str:
    if name not in table:
        raise UnknownToWindows(f"Goose knows no {what} of Windows for {name}")
    return table[name]
