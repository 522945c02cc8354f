"""A model and the world that tools act on, over HTTP: each answer is new, each is counted, and those who ask can be killed.

It speaks OpenAI's chat completions, and the protocols of other providers (`protocols`). Every answer and every effect carries a new mark, so one that is bought again shows
in all that follows. A client says its process ID in its API key, which no hash has in it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

from tests.crash.journal.protocols import INPUT, OUTPUT, protocol_of
from tests.endpoints import JsonHandler, address_of, in_thread

__all__ = ["TOKENS", "Answer", "Asked", "Broken", "Calls", "Effect", "Model", "Server", "act", "key_of", "key_of_this_process", "serving"]

TOKENS = INPUT + OUTPUT  # of each answer
_KEY = "key-of-process-"
_SECONDS = 30  # for those who must come together


@dataclass(frozen=True)
class Asked:
    """A request."""

    body: Mapping[str, Any]

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """What was said so far."""
        return self.body["messages"]

    @property
    def text(self) -> str:
        """All that was said so far, as one text."""
        return "\n".join(str(message.get("content")) for message in self.messages)

    @property
    def tools(self) -> list[str]:
        """The names of the tools that are offered."""
        return [tool["function"]["name"] for tool in self.body.get("tools", ())]

    @property
    def rounds(self) -> int:
        """How many answers that call tools there are so far, in either protocol."""
        said = [message for message in self.messages if message["role"] == "assistant"]
        return sum(bool(message.get("tool_calls")) or "\nAction:" in str(message["content"]) for message in said)

    @property
    def digest(self) -> str:
        """A hash of the body; ids that are addresses in memory do not count."""
        return hashlib.sha256(_plain([self.body]).encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """An answer that was given, and to what."""

    asked: Asked
    mark: str


@dataclass(frozen=True)
class Effect:
    """What a tool did, and what it was told of it."""

    name: str
    arguments: Mapping[str, Any]
    mark: str


@dataclass(frozen=True)
class Calls:
    """An answer that calls tools."""

    calls: Sequence[tuple[str, Mapping[str, Any]]]
    ids: bool = True


@dataclass(frozen=True)
class Broken:
    """No answer: HTTP 500 to a request, an error to a tool."""


Said = str | Calls | Broken
Fates = Mapping[str, Sequence[str]]


class _Gone(Exception):
    """Whoever asked was killed."""


def _done(name: str, arguments: Mapping[str, Any], mark: str) -> str | Broken:
    return f"{name} {arguments.get('number')} is done: {mark}"


def _alone(kind: str, text: str) -> int:
    return 1


@dataclass
class Model:
    """What is said to a request and done for a tool, what was, and at which moments a client is killed.

    Each moment strikes once: a message that is struck is spared when it comes again. `together` says how many messages
    come at once; they wait for each other, and if one of them is struck, none of the others has been heard. After
    `until` answers the model is down.
    """

    script: Callable[[Asked, str], Said]
    effect: Callable[[str, Mapping[str, Any], str], str | Broken] = _done
    together: Callable[[str, str], int] = _alone
    fates: Fates = field(default_factory=dict)
    until: float = math.inf
    new_mark: Callable[[], str] = lambda: f"mark-{uuid4().hex[:12]}"
    asked: list[Asked] = field(default_factory=list)
    answered: list[Answer] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    struck: list[str] = field(default_factory=list)
    met: list[str] = field(default_factory=list)  # the kind of each message
    cut_off: list[str] = field(default_factory=list)  # answers and effects that never came to whoever asked

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.begin_life()

    def begin_life(self) -> None:
        """Forget who waits: they are gone."""
        self._meetings: dict[int, _Meeting] = {}

    def answer(self, asked: Asked, pid: int) -> tuple[Said, str]:
        """What the model says, and its mark."""
        def say() -> tuple[Said, str]:
            mark = self.new_mark()
            said = self.script(asked, mark) if len(self.answered) < self.until else Broken()
            with self.lock:
                self.asked.append(asked)
                if not isinstance(said, Broken):
                    self.answered.append(Answer(asked, mark))
            return said, mark

        return self._meet("request", asked.text, asked.digest, pid, say)

    def act(self, name: str, arguments: Mapping[str, Any], pid: int) -> str | Broken:
        """What a tool's effect gives."""
        what = f"{name} {json.dumps(arguments, sort_keys=True)}"

        def do() -> str | Broken:
            mark = self.new_mark()
            done = self.effect(name, arguments, mark)
            with self.lock:
                self.effects += [] if isinstance(done, Broken) else [Effect(name, arguments, mark)]
            return done

        return self._meet("effect", what, what, pid, do)

    def mixed(self) -> list[str]:
        """The marks in requests that stand behind another question, or another call, than the one that gave them."""
        with self.lock:
            given = {answer.mark: answer.asked for answer in self.answered}
            done = {effect.mark: effect for effect in self.effects}
            return [mark for asked in self.asked for mark in _mixed(asked.messages, given, done)]

    def _meet(self, kind: str, text: str, identity: str, pid: int, do: Callable[[], Any]) -> Any:
        moments = [f"{kind} {identity} {fate}" for fate in self.fates.get(kind, ())]
        with self.lock:
            self.met.append(kind)
        due = self._wait(self.together(kind, text), moments)
        if due not in moments and due:
            raise _Gone
        if due.endswith(" before"):
            _kill(pid)
        done = do()
        if due.endswith(" after"):
            self.cut_off += [] if isinstance(done, Broken) else [kind]
            _kill(pid)
        return done

    def _wait(self, number: int, moments: Sequence[str]) -> str:
        """Wait for the others who come together; the moment of one of them, if it strikes, else nothing."""
        with self.lock:
            meeting = self._meetings.setdefault(number, _Meeting(number, self._choose))
            meeting.moments += moments
            if number == 1:
                meeting.decide()
                return meeting.due
        meeting.barrier.wait()
        return meeting.due

    def _choose(self, moments: Sequence[str]) -> str:
        due = next((moment for moment in sorted(moments) if moment not in self.struck), "")
        self.struck += [due] if due else []
        return due


def _mixed(messages: Sequence[Mapping[str, Any]], given: Mapping[str, Asked], done: Mapping[str, Effect]) -> Iterator[str]:
    for at, message in enumerate(messages):
        for mark in _marks(message) if message["role"] in ("assistant", "tool") else ():
            if mark in given and message["role"] == "assistant" and _plain(given[mark].messages) != _plain(messages[:at]):
                yield mark
            if mark in done and done[mark].arguments["mark"] not in _marks(messages[: at + 1]):
                yield mark


def _marks(said: Any) -> list[str]:
    return re.findall(r"mark-[0-9a-f]{12}", json.dumps(said))


def _plain(messages: Sequence[Mapping[str, Any]]) -> str:
    """The messages, without ids that are addresses in memory."""
    return re.sub(r'"call_\d+"', '"call_"', json.dumps(messages, sort_keys=True))


class _Meeting:
    """Messages that come together, again and again."""

    def __init__(self, number: int, choose: Callable[[Sequence[str]], str]) -> None:
        self.choose = choose
        self.moments: list[str] = []
        self.due = ""
        self.barrier = threading.Barrier(number, self.decide, _SECONDS)

    def decide(self) -> None:
        """All are here."""
        self.due, self.moments = self.choose(self.moments), []


class Server:
    """An address, and the model that answers there now."""

    def __init__(self) -> None:
        self.address = ""
        self.model = Model(lambda _, mark: mark)


@contextmanager
def serving() -> Iterator[Server]:
    """A server in a thread of this process; those who ask are other processes."""
    server = Server()
    with in_thread(type("Handler", (_Handler,), {"serves": server})) as http:
        http.handle_error = lambda *_: None  # type: ignore[method-assign] - who was killed has not hung up
        server.address = f"{address_of(http)}/v1"
        yield server


def key_of_this_process() -> str:
    """An API key by which a server knows whom to kill."""
    return key_of(os.getpid())


def key_of(process: int) -> str:
    """The API key of a process."""
    return f"{_KEY}{process}"


def act(address: str, name: str, key: str | None = None, /, **arguments: Any) -> str:
    """Have an effect on the world, as tools do; raise if the world says no. `key`: of whom, if not of this process."""
    body = json.dumps({"name": name, "arguments": arguments}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key or key_of_this_process()}"}
    with urlopen(Request(f"{address}/effect", body, headers)) as answer:
        said = json.loads(answer.read())
    if said is None:
        raise ConnectionError(f"{name} is down")
    return str(said)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    raise _Gone


class _Handler(JsonHandler):
    serves: Server

    def do_POST(self) -> None:
        body = self.received()
        if self.path.endswith("/count_tokens"):  # Anthropic's, which costs nothing
            self.reply(json.dumps({"input_tokens": INPUT}))
            return
        pid = _process_of(self.headers)
        model, protocol = self.serves.model, protocol_of(self.path)
        try:
            if self.path.endswith("/effect"):
                done = model.act(body["name"], body["arguments"], pid)
                self.reply("null" if isinstance(done, Broken) else json.dumps(done))
                return
            said, mark = model.answer(Asked(protocol.read(body) if protocol else body), pid)
            if isinstance(said, Broken):
                self.send_error(500)
            elif protocol is not None:
                text, calls = (said, []) if isinstance(said, str) else (None, _numbered(said, mark))
                self.reply(json.dumps(protocol.write(mark, text, calls)))
            elif body.get("stream"):
                self.reply(_streamed(said, mark, body), "text/event-stream")
            else:
                self.reply(json.dumps(_completion(said, mark, body)))
        except _Gone:
            self.close_connection = True


def _process_of(headers: Mapping[str, str]) -> int:
    """The process whose key is in a header, whatever its provider calls that."""
    return next(int(found[1]) for value in headers.values() if (found := re.search(rf"{_KEY}(\d+)", value)))


def _numbered(said: Calls, mark: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [(f"call-{mark}-{at}", name, arguments) for at, (name, arguments) in enumerate(said.calls)]


def _completion(said: str | Calls, mark: str, body: Mapping[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **_message(said, mark)}, "finish_reason": _finish(said)}
    return {**_frame(mark, body), "object": "chat.completion", "choices": [choice], "usage": _USAGE}


def _streamed(said: str | Calls, mark: str, body: Mapping[str, Any]) -> str:
    """The answer in two pieces if it is a text, and an end."""
    whole = _message(said, mark)
    text = whole["content"]
    pieces = [{"content": text[:5]}, {"content": text[5:]}] if text else [
        {"tool_calls": [{"index": at, **call} for at, call in enumerate(whole["tool_calls"])]}]  # fmt: skip
    choices = [[{"index": 0, "delta": piece, "finish_reason": None}] for piece in pieces]
    choices.append([{"index": 0, "delta": {}, "finish_reason": _finish(said)}])
    chunk = {**_frame(mark, body), "object": "chat.completion.chunk"}
    chunks = [*({**chunk, "choices": each} for each in choices), {**chunk, "choices": [], "usage": _USAGE}]
    return "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n"


_USAGE = {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": TOKENS}


def _frame(mark: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": f"chatcmpl-{mark}", "created": int(time.time()), "model": body["model"]}


def _finish(said: str | Calls) -> str:
    return "stop" if isinstance(said, str) else "tool_calls"


def _message(said: str | Calls, mark: str) -> dict[str, Any]:
    if isinstance(said, str):
        return {"content": said}
    calls = [{"id": f"call-{mark}-{at}" if said.ids else None, "type": "function",
              "function": {"name": name, "arguments": json.dumps(arguments)}}
             for at, (name, arguments) in enumerate(said.calls)]  # fmt: skip
    return {"content": None, "tool_calls": calls}
