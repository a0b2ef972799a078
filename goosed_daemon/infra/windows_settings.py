"""Is an answer file one that Windows knows: its passes, components, architecture and settings?

No Windows runs where this does. The table has the components that Goose writes, with the passes and
settings that Microsoft's "Unattended Windows Setup Reference" gives for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_NS = "{urn:schemas-microsoft-com:unattend}"
_ATTRIBUTES = {
    "processorArchitecture": "amd64",
    "publicKeyToken": "31bf3856ad364e35",
    "language": "neutral",
    "versionScope": "nonSxS",
}
PASSES = (
    "windowsPE",
    "offlineServicing",
    "generalize",
    "specialize",
    "auditSystem",
    "auditUser",
    "oobeSystem",
)

_TEXT, _TRUTH, _NUMBER, _LOCALE = r".+", "true|false", r"\d{1,10}", r"[a-z]{2,3}-[A-Z]{2}"
_UI = "Always|Never|OnError"
_ADDRESS = r"[0-9a-fA-F.:]+"
_PREFIX = _ADDRESS + r"/\d{1,3}"
_LAYOUT = r"[0-9a-f]{4}:[0-9a-f]{8}"
_CARD = r"[0-9A-F]{2}(?:-[0-9A-F]{2}){5}"
_INTERNATIONAL = {
    "InputLocale": _LAYOUT,
    "SystemLocale": _LOCALE,
    "UILanguage": _LOCALE,
    "UserLocale": _LOCALE,
}
_DRIVERS = {"DriverPaths": {"PathAndCredentials": {"Path": r"[A-Z]:\\.+"}}}
_COMMAND = {"Order": _NUMBER, "Path": ".{1,259}", "Description": _TEXT}
_FAMILY = {"DhcpEnabled": _TRUTH, "Metric": _NUMBER, "RouterDiscoveryEnabled": _TRUTH}

#: Component -> pass -> settings: a pattern of the value, or the settings within.
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "Microsoft-Windows-International-Core-WinPE": {
        "windowsPE": _INTERNATIONAL | {"SetupUILanguage": {"UILanguage": _LOCALE}}
    },
    "Microsoft-Windows-International-Core": {
        "specialize": _INTERNATIONAL,
        "oobeSystem": _INTERNATIONAL,
    },
    "Microsoft-Windows-PnpCustomizationsWinPE": {"windowsPE": _DRIVERS},
    "Microsoft-Windows-PnpCustomizationsNonWinPE": {"offlineServicing": _DRIVERS},
    "Microsoft-Windows-Setup": {
        "windowsPE": {
            "DiskConfiguration": {
                "WillShowUI": _UI,
                "Disk": {
                    "DiskID": _NUMBER,
                    "WillWipeDisk": _TRUTH,
                    "CreatePartitions": {
                        "CreatePartition": {
                            "Order": _NUMBER,
                            "Type": "EFI|MSR|Primary|Extended|Logical",
                            "Size": _NUMBER,
                            "Extend": _TRUTH,
                        }
                    },
                    "ModifyPartitions": {
                        "ModifyPartition": {
                            "Order": _NUMBER,
                            "PartitionID": _NUMBER,
                            "Format": "FAT|FAT32|NTFS",
                            "Label": ".{1,32}",
                            "Letter": "[C-Z]",
                            "Active": _TRUTH,
                        }
                    },
                },
            },
            "ImageInstall": {
                "OSImage": {
                    "InstallFrom": {
                        "MetaData": {
                            "Key": "/IMAGE/(?:NAME|INDEX|DESCRIPTION)",
                            "Value": _TEXT,
                        }
                    },
                    "InstallTo": {"DiskID": _NUMBER, "PartitionID": _NUMBER},
                    "WillShowUI": _UI,
                }
            },
            "UserData": {
                "AcceptEula": _TRUTH,
                "FullName": _TEXT,
                "Organization": _TEXT,
                "ProductKey": {"Key": _TEXT, "WillShowUI": _UI},
            },
        }
    },
    "Microsoft-Windows-Shell-Setup": {
        "specialize": {
            "ComputerName": r"(?!\d+$)[A-Za-z0-9-]{1,15}",
            "ProductKey": _TEXT,
            "RegisteredOrganization": _TEXT,
            "RegisteredOwner": _TEXT,
            "TimeZone": _TEXT,
        },
        "oobeSystem": {
            "OOBE": {
                "HideEULAPage": _TRUTH,
                "HideLocalAccountScreen": _TRUTH,
                "HideOEMRegistrationScreen": _TRUTH,
                "HideOnlineAccountScreens": _TRUTH,
                "HideWirelessSetupInOOBE": _TRUTH,
                "ProtectYourPC": "[123]",
            },
            "UserAccounts": {"AdministratorPassword": {"Value": _TEXT, "PlainText": _TRUTH}},
        },
    },
    "Microsoft-Windows-TCPIP": {
        "specialize": {
            "Interfaces": {
                "Interface": {
                    "Identifier": _CARD,
                    "Ipv4Settings": _FAMILY,
                    "Ipv6Settings": _FAMILY,
                    "UnicastIpAddresses": {"IpAddress": _PREFIX},
                    "Routes": {
                        "Route": {
                            "Identifier": _NUMBER,
                            "Metric": _NUMBER,
                            "NextHopAddress": _ADDRESS,
                            "Prefix": _PREFIX,
                        }
                    },
                }
            }
        }
    },
    "Microsoft-Windows-DNS-Client": {
        "specialize": {
            "DNSDomain": _TEXT,
            "DNSSuffixSearchOrder": {"DomainName": _TEXT},
            "Interfaces": {
                "Interface": {
                    "Identifier": _CARD,
                    "DNSServerSearchOrder": {"IpAddress": _ADDRESS},
                }
            },
        }
    },
    "Microsoft-Windows-Deployment": {
        "specialize": {"RunSynchronous": {"RunSynchronousCommand": _COMMAND}}
    },
}


def check(text: str) -> list[tuple[int | None, str]]:
    """What Windows would not know in an answer file: line (from 1) and words, which have no value
    of it."""
    from lxml import etree  # type: ignore[import-untyped]

    # Nothing outside of the text is read, whatever it declares.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        return [(error.lineno, f"not well-formed: {_words(error)}")]
    if root.tag != f"{_NS}unattend":
        return [(root.sourceline, "the root is not unattend of its namespace")]
    return [(element.sourceline, said) for element, said in _root(root)]


def _words(error: Exception) -> str:
    return re.sub(r"[^a-zA-Z ,:-].*", "", str(error).partition("\n")[0])


def _root(root: Any) -> Iterator[tuple[Any, str]]:
    seen: set[str] = set()
    for settings in root.iterchildren(f"{_NS}*"):
        name = settings.get("pass")
        if settings.tag != f"{_NS}settings" or name not in PASSES:
            yield settings, f"{_local(settings)} is not settings of a pass"
            continue
        if name in seen:
            yield settings, f"the pass {name} is there twice"
        seen.add(name)
        of_pass: set[str] = set()
        for component in settings.iterchildren(f"{_NS}*"):
            yield from _component(component, name, of_pass)


def _component(component: Any, name: str, seen: set[str]) -> Iterator[tuple[Any, str]]:
    which = component.get("name", "")
    if component.tag != f"{_NS}component" or which not in SETTINGS:
        yield component, f"there is no component {which[:80]!r}"
        return
    if which in seen:
        yield component, f"the component {which} is there twice in {name}"
    seen.add(which)
    for attribute, wanted in _ATTRIBUTES.items():
        if component.get(attribute) != wanted:
            yield component, f"{attribute} of {which} is not {wanted}"
    if name not in SETTINGS[which]:
        yield component, f"{which} has no settings for the pass {name}"
        return
    yield from _settings(component, SETTINGS[which][name], which)


def _settings(parent: Any, known: dict[str, Any], where: str) -> Iterator[tuple[Any, str]]:
    for element in parent.iterchildren("*"):
        name = _local(element)
        path = f"{where}/{name}"
        form = known.get(name)
        if form is None or not element.tag.startswith(_NS):
            yield element, f"there is no setting {path}"
        elif isinstance(form, dict):
            yield from _settings(element, form, path)
        elif len(element) or not re.fullmatch(form, element.text or ""):
            yield element, f"the value of {path} is not of its form"


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]
