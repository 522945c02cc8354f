"""A model server in a process of its own: `python -m tests.crash.server LOG`, which prints its address.

It speaks OpenAI's chat completions, answers from the prompt alone, and notes each request as `claim task` in LOG
before it answers: what is in LOG would have been paid for.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.endpoints import JsonHandler, address_of

__all__ = ["Ledger", "answer_to", "serving"]

ROOT = Path(__file__).parents[2]
_SECONDS = 0.02  # how long an answer takes


class Ledger:
    """What the server was asked for, by (claim, task)."""

    def __init__(self, file: Path, base_url: str) -> None:
        self.file, self.base_url = file, base_url

    def position(self) -> int:
        """How far the ledger goes now."""
        return self.file.stat().st_size

    def requests(self, since: int = 0) -> Counter[tuple[str, str]]:
        """How often each task was asked for after a position."""
        lines = self.file.read_bytes()[since:].decode().splitlines()
        return Counter((line.split()[0], line.split()[1]) for line in lines)

    def settle(self) -> None:
        """Return once all that was sent before, also by processes that are gone, is in the ledger.

        Waits for ever if somebody keeps a connection to the server.
        """
        with urlopen(self.base_url) as answer:
            answer.read()


@contextmanager
def serving(folder: Path) -> Iterator[Ledger]:
    """A server and its ledger in a folder."""
    log = folder / "requests.log"
    log.touch()
    process = subprocess.Popen([sys.executable, "-m", __name__, str(log.absolute())], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Ledger(log, process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()


def answer_to(claim: str, task: str) -> str:
    """The one right answer."""
    return f"{task} of {claim}: {hashlib.sha256(f'{task} {claim}'.encode()).hexdigest()[:16]}"


class _Handler(JsonHandler):
    log: Any
    server: _Server

    def do_GET(self) -> None:
        """Answer when no other connection is left."""
        with self.server.changed:
            self.server.changed.wait_for(lambda: self.server.connections == 1)
        self.reply("{}")

    def do_POST(self) -> None:
        request = self.received()
        prompt = str(request["messages"][-1]["content"])
        task, claim = re.findall(r"<<(\w+)>> claim ([\w-]+)", prompt)[0]
        self.log.write(f"{claim} {task}\n".encode())
        time.sleep(_SECONDS)
        message = {"role": "assistant", "content": answer_to(claim, task)}
        self.reply(json.dumps({
            "id": "1", "object": "chat.completion", "created": 0, "model": request["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }))  # fmt: skip


class _Server(ThreadingHTTPServer):
    """Takes connections in the order in which they were made, and knows how many are open."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connections, self.changed = 0, threading.Condition()

    def process_request(self, *connection: Any) -> None:
        self._count(1)
        super().process_request(*connection)

    def shutdown_request(self, *connection: Any) -> None:
        super().shutdown_request(*connection)
        self._count(-1)

    def _count(self, more: int) -> None:
        with self.changed:
            self.connections += more
            self.changed.notify_all()

    def handle_error(self, *_: Any) -> None:
        """A client that was killed is no error here."""


def _main() -> None:
    with Path(sys.argv[1]).open("ab", buffering=0) as log:
        _Handler.log = log
        server = _Server(("127.0.0.1", 0), _Handler)
        sys.stdout.write(f"{address_of(server)}/v1\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    _main()
