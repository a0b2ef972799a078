"""One real machine: QEMU with real firmware that boots from a URL, and what its screen said.

Always software emulation: where /dev/kvm exists it may still stop iPXE and OVMF dead. The machine's
screen is its serial console; every line is kept, without the escapes that firmware paints with.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

Firmware = Literal["bios", "uefi", "secure"]  # secure: UEFI that enforces Secure Boot

OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
SECURE_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd")
SECURE_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")  # trusts what Microsoft signed
HOST = "10.0.2.2"  # where a guest of QEMU's user network finds this machine's 127.0.0.1

# Control sequences and escapes (ECMA-48, section 5.4; ECMA-35, section 13.2), and the control
# characters that are not line ends.
_ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]|[\x00-\x08\x0b\x0c\x0e-\x1f]")

# Where each firmware gives up, and a kernel: nothing comes after these.
_DEAD_ENDS = ("No bootable device.", "\nShell> ", "Kernel panic")


class NotBooted(AssertionError):
    """The machine did not do what was waited for. The message ends with its screen."""


def plain(raw: bytes) -> str:
    """What a terminal would have shown: no escapes, plain line ends."""
    text = _ESCAPES.sub(b"", raw).decode(errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


class Machine:
    """A running machine. A context manager: it never outlives its block.

    `mac` is its first NIC's; `more_macs` add NICs of the same kind that boot nothing. `bootfile`
    is the URL that its DHCP offer names, or a file of the folder `tftp`. `disk` is a folder whose
    files are on its disk's only partition (FAT). `within` are words before the command, which say
    where it runs. `scratch` is a folder of the test's own, for the
    UEFI variables and the transcript; `variables` are those to begin with, if not the firmware's.
    """

    def __init__(
        self,
        firmware: Firmware,
        *,
        mac: str,
        bootfile: str,
        scratch: Path,
        memory_mb: int = 256,
        more_macs: Sequence[str] = (),
        tftp: Path | None = None,
        disk: Path | None = None,
        variables: Path | None = None,
        within: Sequence[str] = (),
    ) -> None:
        self._scratch = scratch
        self._command = [*within, *_firmware(firmware, scratch, variables)]
        self._command += ["-m", str(memory_mb), "-nographic", "-nodefaults", "-no-reboot"]
        self._command += ["-serial", "stdio"]
        self._command += _network(firmware, mac, bootfile, more_macs, tftp)
        if disk is not None:
            # Second in the boot order, since OVMF looks at no disk that is not in it.
            self._command += ["-drive", f"if=none,id=d0,format=raw,readonly=on,file=fat:{disk}"]
            self._command += ["-device", "virtio-blk-pci,drive=d0,bootindex=2"]
        self._raw = bytearray()
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._read_some(0)
        self._selector.close()
        self._output.close()
        (self._scratch / "screen.txt").write_text(self.screen)

    @property
    def screen(self) -> str:
        """All that was printed so far."""
        return plain(bytes(self._raw))

    @property
    def pid(self) -> int:
        """The process of the machine."""
        return self._process.pid

    def wait_for(self, words: str, *, seconds: float) -> str:
        """Wait until `words` are on the screen; returns all of it.

        `seconds` count from the machine's start. Raises `NotBooted`, also as soon as it
        can be told that they never will be.
        """
        while words not in self.screen:
            if not self._read_some(self._left(seconds, f"the words {words!r}")):
                if words in self.screen:
                    break
                self._fail(f"the machine ended before it printed {words!r}")
            self._refuse_dead_ends(words)
        return self.screen

    def wait_for_end(self, *, seconds: float) -> str:
        """Wait until the machine is off; returns its screen. Raises `NotBooted`."""
        while self._read_some(self._left(seconds, "the end")):
            self._refuse_dead_ends()
        code = self._process.wait(timeout=10)
        if code != 0:
            self._fail(f"QEMU ended with exit code {code}")
        return self.screen

    def _refuse_dead_ends(self, unless: str = "") -> None:
        screen = self.screen
        if unless and unless in screen:
            return
        for words in _DEAD_ENDS:
            if words in screen:
                self._fail(f"the machine gave up: {words.strip()!r}")

    def _left(self, seconds: float, what: str) -> float:
        left = self._started + seconds - time.monotonic()
        if left <= 0:
            self._fail(f"{seconds:g} seconds were not enough for {what}")
        return left

    def _read_some(self, seconds: float) -> bool:
        """Take in what there is, waiting for it at most `seconds`; False once there is no more."""
        if not self._selector.select(min(seconds, 1.0)):
            return True
        chunk = self._output.read(65536)
        self._raw += chunk or b""
        return chunk != b""

    def _fail(self, message: str) -> None:
        command = " ".join(map(str, self._command))
        raise NotBooted(f"{message}\n--- {command}\n--- its screen:\n{self.screen[-6000:]}")


def _firmware(firmware: Firmware, scratch: Path, variables: Path | None) -> list[str]:
    machine, cpu = "q35,accel=tcg", "qemu64"
    if firmware == "secure":
        machine, cpu = "q35,smm=on,accel=tcg", "qemu64,+rdrand,+smep"
    command = ["qemu-system-x86_64", "-machine", machine, "-cpu", cpu]
    if firmware != "bios":
        secure = firmware == "secure"
        own = scratch / "uefi-variables.fd"
        shutil.copyfile(variables or (SECURE_VARS if secure else OVMF_VARS), own)
        code = SECURE_CODE if secure else OVMF_CODE
        flash = "if=pflash,format=raw"
        command += ["-drive", f"{flash},unit=0,readonly=on,file={code}"]
        command += ["-drive", f"{flash},unit=1,file={own}"]
    if firmware == "secure":
        command += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
        command += ["-global", "ICH9-LPC.disable_s3=1", "-device", "virtio-rng-pci"]
    return command


def _network(
    firmware: Firmware, mac: str, bootfile: str, more_macs: Sequence[str], tftp: Path | None
) -> list[str]:
    # No romfile: QEMU's default is iPXE for both kinds of firmware, and only that one is patched
    # to the PCI ids of the device; with any named file SeaBIOS finds nothing to boot. Nobody signed
    # it, so that under Secure Boot the firmware's own PXE asks.
    rom = ",romfile=" if firmware == "secure" else ""
    folder = f",tftp={tftp}" if tftp is not None else ""
    command = ["-netdev", f"user,id=n0,bootfile={bootfile}{folder}"]
    command += ["-device", f"virtio-net-pci,netdev=n0,mac={mac},bootindex=1{rom}"]
    for number, other in enumerate(more_macs, start=1):
        command += ["-netdev", f"user,id=n{number}"]
        command += ["-device", f"virtio-net-pci,netdev=n{number},mac={other},romfile="]
    return command
