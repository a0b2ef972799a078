"""Asking a server over connections that are kept, each again as soon as it was answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

Ask = tuple[str, bytes]  # what it is for, the request
Client = Generator[Ask, bytes, None]  # its requests, each told the body of the answer before


@dataclass(slots=True)
class Answers:
    """What came back."""

    seconds: dict[str, list[float]] = field(default_factory=dict)  # of each request, by its purpose
    wall: float = 0.0  # seconds of all
    lost: int = 0  # connections that broke, answers that were no 200

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return len(self.all()) / self.wall

    def all(self) -> list[float]:
        """The seconds of every request, the shortest first."""
        return sorted(second for each in self.seconds.values() for second in each)

    def p99(self, purpose: str | None = None) -> float:
        """Seconds that one request of a hundred takes longer than."""
        times = sorted(self.seconds[purpose]) if purpose else self.all()
        return times[int(len(times) * 0.99)]


async def ask(port: int, clients: Iterator[Client], connections: int) -> Answers:
    """Lets each of `clients` ask on a connection of its own; so many of them at once."""
    answers = Answers()

    async def work() -> None:
        for client in clients:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                answers.lost += 1
                continue
            try:
                await talk(client, reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                answers.lost += 1
            finally:
                writer.close()

    async def talk(
        client: Client, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        asked = next(client, None)
        while asked is not None:
            purpose, request = asked
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            body = b"" if request.startswith(b"HEAD") else await reader.readexactly(length)
            answers.seconds.setdefault(purpose, []).append(time.perf_counter() - began)
            if b" 200 " not in head[:16]:
                answers.lost += 1
                return
            try:
                asked = client.send(body)
            except StopIteration:
                return

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    answers.wall = time.perf_counter() - began
    return answers
