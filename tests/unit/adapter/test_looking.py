"""Callbacks and hooks that only look: an edit of one makes no task stale."""

from __future__ import annotations

import functools
import json
import logging
import queue
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from crew_repo.code import alters
from tests.unit.adapter.test_altering import Editor, apply, see, wrapped

SEEN: list[Any] = []
SIGHTS = {"one": see, "two": print}
LOG = logging.getLogger(__name__)
POOL = ThreadPoolExecutor(1)


@dataclass
class Note:
    text: str
    output: Any = None

    def words(self) -> list[str]:
        return self.text.split()


class Client:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    def track(self, event: str, **properties: Any) -> None:
        self.sent.append((event, properties))
        json.dumps(properties)


def make_client() -> Client:
    return Client()


class Looking:
    def __init__(self) -> None:
        self.count, self.records, self.last = 0, [], None
        self.logger, self.client, self.waiting = LOG, Client(), queue.Queue()
        self.listeners: list[Any] = [see, self.note]

    def __call__(self, output: Any) -> None:
        self.note(output)
        self.records.append(output)
        self.client.track("done", text=output.raw, output=output)
        self.waiting.put(output)
        self.last = output
        self.logger.info("%s", output)
        for listener in self.listeners:
            listener(output)

    def note(self, output: Any) -> None:
        self.count += len(output.raw)


def logs(output: Any) -> None:
    print(output)  # noqa: T201
    LOG.info("%s of %s", output.raw, output.agent)
    logging.getLogger("callbacks").warning("%r", output)
    str(output), len(output.raw), f"{output}", repr(output)


def writes_a_file(output: Any) -> None:
    with Path("answers.json").open("a") as file:
        json.dump(output.model_dump(), file)
        file.write(output.raw)


def posts(output: Any, requests: Any = None) -> None:
    import urllib.request

    urllib.request.urlopen("http://localhost", data=output.raw.encode())
    requests.post("http://localhost", json=output.raw)


def posts_with_what_is_not_installed(output: Any) -> None:
    import no_such_client

    no_such_client.post("http://localhost", json=output.raw)


def tracks(output: Any) -> None:
    client = make_client()
    client.track("done", output=output)
    Client().track("done", text=output.raw)
    getattr(client, "track")("done", text=output.raw)  # noqa: B009


def notes(output: Any) -> None:
    note = Note(output.raw, output)
    note.text = note.text.upper()
    SEEN.append(note)
    SEEN.append(asdict(note))


def edits_a_copy(output: Any) -> None:
    data = output.model_dump()
    data["seen"] = True
    text = output.raw
    text += "!"
    payload = {"text": text, "tasks": [output.agent]}
    payload["more"] = 1
    SEEN.append((data, payload))


def has_others_look(output: Any) -> None:
    for sight in SIGHTS.values():
        sight(output)
    SIGHTS["one"](output)
    apply(see, output)
    list(map(see, [output]))
    POOL.submit(see, output)
    wrapped(see)


def reads_the_answer(output: Any) -> None:
    SEEN.append((output.pydantic.model_dump(), output.pydantic.total, output.json_dict.get("total")))


class Again:
    def see(self, output: Any) -> None:
        if SEEN:
            Again().see(output)


def sees_again(output: Any) -> None:
    Again().see(output)


def sees_again_and_again(function: Any, output: Any) -> None:
    sees_again_and_again(functools.partial(function), output)


def recurses(output: Any) -> None:
    see(output)
    if not output.raw:
        recurses(output)


def keeps_any(*args: Any, **names: Any) -> None:
    SEEN.extend(args)
    see(*args, **names)


@pytest.mark.parametrize(
    "function",
    [
        *(logs, writes_a_file, posts, posts_with_what_is_not_installed, tracks, notes, edits_a_copy, has_others_look),
        *(reads_the_answer, sees_again, functools.partial(sees_again_and_again, see)),
        *(recurses, keeps_any, Looking(), Looking().note, Editor().see, wrapped(see), functools.partial(see)),
        *(functools.partial(lambda rows, output: rows.append(output), SEEN), SEEN.append, print, LOG.info),
    ],
    ids=lambda function: getattr(function, "__name__", type(function).__name__),
)
def test_whoever_logs_keeps_or_sends_it_alters_nothing(function: Any) -> None:
    """Its edit makes no task stale: it has a text of it, or hands it to a library or to the user's code that looks."""
    assert not alters(function)
