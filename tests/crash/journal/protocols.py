"""What providers' own clients send and are sent: each protocol, read as OpenAI's, and written from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["INPUT", "OUTPUT", "Protocol", "protocol_of"]

INPUT, OUTPUT = 100, 10  # tokens of each request and of each answer

Body = Mapping[str, Any]
Call = tuple[str, str, Mapping[str, Any]]  # id, name, arguments
Part = Mapping[str, Any]


@dataclass(frozen=True)
class Protocol:
    """How a request is read as one of OpenAI's, and how an answer is written: a text, or calls of tools."""

    read: Callable[[Body], Body]
    write: Callable[[str, str | None, Sequence[Call]], Body]


def protocol_of(path: str) -> Protocol | None:
    """The protocol that is spoken at this address; None for OpenAI's own."""
    return next((protocol for end, protocol in _PROTOCOLS.items() if path.partition("?")[0].endswith(end)), None)


def _openais(system: Any, messages: Sequence[tuple[str, Sequence[Part]]], tools: Sequence[str]) -> Body:
    """A request in OpenAI's words: `system` is a text, and the parts of messages are told apart by what they have."""
    said = [{"role": "system", "content": system}] if system else []
    said += [each for role, parts in messages for each in _messages(role, parts)]
    return {"messages": said, "tools": [{"function": {"name": name}} for name in tools], "model": "of another provider"}


def _messages(role: str, parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    texts = [part["text"] for part in parts if "text" in part]
    calls = [part["call"] for part in parts if "call" in part]
    if texts or calls:
        yield {"role": role, "content": "\n".join(texts), **({"tool_calls": calls} if calls else {})}
    yield from ({"role": "tool", "content": json.dumps(part["result"])} for part in parts if "result" in part)


# Anthropic's messages.


def _read_anthropic(body: Body) -> Body:
    def parts(content: Any) -> list[Part]:
        return [{"text": content}] if isinstance(content, str) else [_part(each) for each in content]

    def _part(block: Part) -> Part:
        if block["type"] == "tool_use":
            return {"call": {"name": block["name"], "arguments": block["input"]}}
        return {"result": block["content"]} if block["type"] == "tool_result" else {"text": block["text"]}

    messages = [(message["role"], parts(message["content"])) for message in body["messages"]]
    system = body.get("system")
    system = system if isinstance(system, str) else "\n".join(block["text"] for block in system or ())
    return _openais(system, messages, [tool["name"] for tool in body.get("tools", ())])


def _write_anthropic(mark: str, text: str | None, calls: Sequence[Call]) -> Body:
    content = [{"type": "tool_use", "id": called, "name": name, "input": arguments} for called, name, arguments in calls]
    return {
        "id": f"msg-{mark}", "type": "message", "role": "assistant", "model": "claude",
        "content": content or [{"type": "text", "text": text}],
        "stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": INPUT, "output_tokens": OUTPUT},
    }  # fmt: skip


# Gemini's generateContent.


def _read_gemini(body: Body) -> Body:
    def part(of: Part) -> Part:
        if "functionCall" in of:
            return {"call": {"name": of["functionCall"]["name"], "arguments": of["functionCall"].get("args")}}
        return {"result": of["functionResponse"]["response"]} if "functionResponse" in of else {"text": of["text"]}

    messages = [("assistant" if each.get("role") == "model" else "user", list(map(part, each["parts"])))
                for each in body["contents"]]  # fmt: skip
    system = "\n".join(of["text"] for of in body.get("systemInstruction", {}).get("parts", ()))
    names = [one["name"] for tool in body.get("tools", ()) for one in tool.get("functionDeclarations", ())]
    return _openais(system, messages, names)


def _write_gemini(mark: str, text: str | None, calls: Sequence[Call]) -> Body:
    parts = [{"functionCall": {"name": name, "args": arguments}} for _, name, arguments in calls]
    return {
        "candidates": [{"content": {"role": "model", "parts": parts or [{"text": text}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": INPUT, "candidatesTokenCount": OUTPUT, "totalTokenCount": INPUT + OUTPUT},
        "modelVersion": "gemini", "responseId": mark,
    }  # fmt: skip


# Bedrock's converse.


def _read_bedrock(body: Body) -> Body:
    def part(block: Part) -> Part:
        if "toolUse" in block:
            return {"call": {"name": block["toolUse"]["name"], "arguments": block["toolUse"]["input"]}}
        return {"result": block["toolResult"]["content"]} if "toolResult" in block else {"text": block["text"]}

    messages = [(each["role"], [part(block) for block in each["content"]]) for each in body["messages"]]
    system = "\n".join(block["text"] for block in body.get("system", ()))
    names = [tool["toolSpec"]["name"] for tool in body.get("toolConfig", {}).get("tools", ())]
    return _openais(system, messages, names)


def _write_bedrock(mark: str, text: str | None, calls: Sequence[Call]) -> Body:
    content = [{"toolUse": {"toolUseId": called, "name": name, "input": arguments}} for called, name, arguments in calls]
    return {
        "output": {"message": {"role": "assistant", "content": content or [{"text": text}]}},
        "stopReason": "tool_use" if calls else "end_turn",
        "usage": {"inputTokens": INPUT, "outputTokens": OUTPUT, "totalTokens": INPUT + OUTPUT},
        "metrics": {"latencyMs": 1},
    }  # fmt: skip


_PROTOCOLS = {
    "/messages": Protocol(_read_anthropic, _write_anthropic),
    ":generateContent": Protocol(_read_gemini, _write_gemini),
    "/converse": Protocol(_read_bedrock, _write_bedrock),
}
