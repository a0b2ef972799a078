"""Coverage-guided fuzzing with atheris: `make fuzz`, or

    python -m tests.fuzz [--seconds 60] [TARGET ...]

Each target has its seconds, in a process of its own, and begins with what tests/fuzz/corpus holds
of it and with the words that stand in there. Inputs that reach new code are added there in their
smallest set; an input that breaks a target is written to tests/fuzz/findings and ends the run with
exit code 1.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
CORPUS, FINDINGS = HERE / "corpus", HERE / "findings"
MAX_INPUT = 64 * 1024  # bytes
MAX_MEMORY = 2048  # MiB
MAX_TIME = 10  # seconds for one input
MAX_WORDS = 400  # of the dictionary
_WORD = re.compile(rb'"[\w.@:/+=-]{1,64}":?|[a-zA-Z][\w@.-]{2,63}|\d{1,20}')
_CHILD = "--child"  # what follows is a target and libFuzzer's own options


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    chosen = parser.parse_args()
    from tests.fuzz.targets import TARGETS

    if unknown := set(chosen.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    broken = [name for name in chosen.targets or TARGETS if not _run(name, chosen.seconds)]
    if broken:
        print(f"broken: {', '.join(broken)}; the inputs are in {FINDINGS.relative_to(Path.cwd())}")
    return 1 if broken else 0


def _run(name: str, seconds: int) -> bool:
    """Fuzzes one target and keeps what is worth keeping; whether it held."""
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    FINDINGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        words, grown = Path(scratch) / "words", Path(scratch) / "grown"
        words.write_text(dictionary(path.read_bytes() for path in sorted(corpus.iterdir())))
        grown.mkdir()
        options = [
            f"-dict={words}",
            f"-max_total_time={seconds}",
            f"-max_len={MAX_INPUT}",
            f"-rss_limit_mb={MAX_MEMORY}",
            f"-timeout={MAX_TIME}",
            f"-artifact_prefix={FINDINGS}/{name}-",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        done = _child(name, [*options, str(grown), str(corpus)])
        said = [line for line in done.stderr.splitlines() if line.startswith("stat::")]
        ran = next((line.split()[-1] for line in said if "executed" in line), "?")
        held = done.returncode == 0
        print(f"{name}: {ran} inputs in {seconds} s: {'held' if held else 'BROKEN'}", flush=True)
        if held:
            _child(
                name, ["-merge=1", "-verbosity=0", f"-max_len={MAX_INPUT}", str(corpus), str(grown)]
            )
        else:
            print("\n".join((done.stdout + done.stderr).splitlines()[-30:]))
    return held


def dictionary(inputs: Iterable[bytes]) -> str:
    """The words of `inputs`, the most common first, as libFuzzer reads them: mutations then change
    one field or name for another, and not a letter of it."""
    counts = Counter(word for data in inputs for word in _WORD.findall(data))
    escaped = (
        "".join(f"\\x{byte:02x}" for byte in word) for word, _ in counts.most_common(MAX_WORDS)
    )
    return "".join(f'"{word}"\n' for word in escaped)


def _child(name: str, options: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz", _CHILD, name, *options]
    return subprocess.run(command, capture_output=True, text=True, errors="replace")


def _fuzz(name: str, options: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["bundles"]):
        from tests.fuzz.targets import judge
    # libFuzzer merges in children of its own, which it starts by a shell with this as the command.
    command = f"{shlex.quote(sys.executable)} -m tests.fuzz {_CHILD} {name}"
    atheris.Setup([command, *options], lambda data: judge(name, data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == [_CHILD]:
        _fuzz(sys.argv[2], sys.argv[3:])
    sys.exit(main())
