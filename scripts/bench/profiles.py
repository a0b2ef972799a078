"""Profiles at the size of a large site: how loading and validating grow, and beside what.

Usage: python scripts/bench/profiles.py [--machines N] [--rounds N]

CPU seconds of this process, the least of some rounds: other work on the machine does not count. The
exponent is the slope over the sizes N/8 to N: 1.0 is as much for each machine of a large site as of
a small one. Loading stands beside PyYAML's own C loader on the same files, validating beside what
it would take to judge every machine by itself.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from goosed_daemon import infra
from goosed_daemon.infra import Infra, validate
from goosed_daemon.infra.match import match

EXAMPLES = Path(__file__).parents[2] / "examples" / "infra"
SAMPLE = 20  # machines that are judged by themselves, for comparison
LOOK_UPS = 10_000


def write(folder: Path, count: int) -> None:
    """A site of `count` machines in 40 racks: the examples' profiles, a group for each rack."""
    folder.mkdir()
    for name in ("site.yaml", "profiles.yaml"):
        (folder / name).write_text((EXAMPLES / name).read_text())
    groups = [
        f"apiVersion: goose/v1\nkind: Group\nname: rack-{rack}\n"
        f"selector: {{matchLabels: {{rack: r{rack}}}}}\n"
        f"variables: {{RACK: r{rack}}}\nnetwork: {{gateway: 10.255.255.254}}\n"
        for rack in range(40)
    ]
    (folder / "groups.yaml").write_text("---\n".join(groups))
    machines = [
        f"apiVersion: goose/v1\nkind: Machine\nname: m{n}\n"
        f"mac: 52:54:00:{n >> 16 & 255:02x}:{n >> 8 & 255:02x}:{n & 255:02x}\n"
        f"profile: {'rhel9' if n % 3 else 'debian12'}\nlabels: {{rack: r{n % 40}}}\n"
        f"network: {{address: 10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/8}}\n"
        for n in range(1, count + 1)
    ]
    for start in range(0, count, 1000):
        (folder / f"m{start}.yaml").write_text("---\n".join(machines[start : start + 1000]))


def seconds(call: Callable[[], object], rounds: int) -> float:
    """The least CPU time of some calls."""
    best = math.inf
    for _ in range(rounds):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def parse(folder: Path) -> None:
    """What PyYAML takes for the same files, typing nothing and checking nothing."""
    for path in sorted(folder.glob("*.yaml")):
        for _ in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
            pass


def judge_each(site: Infra) -> float:
    """CPU seconds to render and judge one machine by itself, without debconf's processes."""
    some = [m for m in site.machines.values() if site.profile_of(m).installer == "kickstart"]
    start = time.process_time()
    for machine in some[:SAMPLE]:
        boot = validate.placeholder(site, machine)
        validate.check(boot.profile, validate.rendered(boot))
    return (time.process_time() - start) / min(SAMPLE, len(some))


def look_ups(site: Infra) -> None:
    """As many machines asking as in every other site."""
    cards = [machine.mac[0] for machine in list(site.machines.values())[:1000]]
    for number in range(LOOK_UPS):
        match(site, mac=cards[number % len(cards)])


def slope(sizes: list[int], times: list[float]) -> float:
    """The exponent of growth: least squares over the logarithms."""
    xs, ys = [math.log(n) for n in sizes], [math.log(t) for t in times]
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - mx) ** 2 for x in xs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--machines", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    sizes = [given.machines // 8, given.machines // 4, given.machines // 2, given.machines]
    loads, checks, asks = [], [], []
    with tempfile.TemporaryDirectory() as made:
        for size in sizes:
            folder = Path(made, str(size))
            write(folder, size)
            site = infra.load(folder)
            loads.append(seconds(lambda at=folder: infra.load(at), given.rounds))  # type: ignore[misc]
            checks.append(
                seconds(lambda of=site: list(validate.validate(of)), given.rounds)  # type: ignore[misc]
            )
            asks.append(seconds(lambda of=site: look_ups(of), given.rounds))  # type: ignore[misc]
        plain = seconds(lambda: parse(folder), given.rounds)
        each = judge_each(site) * given.machines
    print(f"| {given.machines:,} machines | CPU seconds | exponent | beside |")
    print("|---|---|---|---|")
    beside = f"{loads[-1] / plain:.2f} of PyYAML"
    print(f"| load | {loads[-1]:.1f} | {slope(sizes, loads):.2f} | {beside} |")
    print(
        f"| validate | {checks[-1]:.1f} | {slope(sizes, checks):.2f}"
        f" | {checks[-1] / each:.3f} of judging each |"
    )
    print(f"| {LOOK_UPS:,} look-ups | {asks[-1]:.3f} | {slope(sizes, asks):.2f} | |")


if __name__ == "__main__":
    main()
