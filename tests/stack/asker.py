"""Asks for URLs over and over, a connection for each, until its stdin ends; then prints a JSON
object of how often each outcome was seen. Machines that boot do the same.

    python -m tests.stack.asker CA URL...
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections import Counter
from urllib.error import HTTPError
from urllib.request import urlopen


def _ask(url: str, context: ssl.SSLContext | None) -> str:
    try:
        with urlopen(url, timeout=20, context=context) as answer:
            answer.read()
            return str(answer.status)
    except HTTPError as error:
        return str(error.code)
    except OSError as error:
        return str(error)


def main() -> None:
    """What the module says."""
    context = ssl.create_default_context(cafile=sys.argv[1])
    stop, seen, lock = threading.Event(), Counter[str](), threading.Lock()

    def go_on(url: str) -> None:
        while not stop.wait(0.02):
            outcome = _ask(url, context if url.startswith("https:") else None)
            with lock:
                seen[f"{url} {outcome}"] += 1

    threads = [threading.Thread(target=go_on, args=(url,)) for url in sys.argv[2:]]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
