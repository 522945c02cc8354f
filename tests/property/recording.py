"""Models that note every byte that they are sent: one in the process, one behind HTTP for CrewAI's own clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crewai.llms.base_llm import BaseLLM
from pydantic import BaseModel, PrivateAttr

from tests.endpoints import JsonHandler, address_of, in_thread

ANSWER = '{"verdict": "covered"}'
PLAN = '{"list_of_plans_per_task": [{"task_number": 1, "task": "the first", "plan": " Read, then judge."}]}'
READY = "READY: I am ready to execute the task."  # without it, an agent of CrewAI 1.13 plans for ever
THOROUGH_PLAN = PLAN.replace("]}", ', {"task_number": 2, "task": "the target", "plan": " Read it twice."}]}')
# How an answer is delivered, not what is asked.
_DELIVERY = {"stream", "stream_options"}
# Of a request's headers, who asks, with which key, and how it travels.
_ADMISSION = {"authorization", "api-key", "x-api-key", "x-signature", "openai-organization", "openai-project", "cookie"}
_TRAVEL = {"host", "content-length", "content-type", "connection", "user-agent", "accept", "accept-encoding", "x-request-id"}


class RecordingModel(BaseLLM):
    """Calls the tool `lookup` once where it is offered, then answers; `requests` holds what it was sent."""

    _requests: list[str] = PrivateAttr(default_factory=list)

    @property
    def requests(self) -> list[str]:
        """One JSON text per call: messages, tools with their schemas, the class of the answer, parameters."""
        return self._requests

    def call(self, messages: Any, tools: Any = None, *args: Any, response_model: Any = None, **kwargs: Any) -> str:
        """Note the request, and answer it."""
        request = {
            "messages": messages,
            "tools": [_without_functions(tool) for tool in tools or []],
            "response_model": response_model.model_json_schema() if response_model else None,
            "parameters": {"model": self.model, "temperature": self.temperature, "stop": sorted(self.stop_sequences)},
        }
        self._requests.append(json.dumps(request, sort_keys=True, default=_schema_of))
        text = messages if isinstance(messages, str) else json.dumps(messages, default=str)
        if "tasks summary" in text:
            return f"Thought: I know.\nFinal Answer: {THOROUGH_PLAN if self.model == 'thorough' else PLAN}"
        if "NOT READY" in text:
            return READY
        if "lookup" in text and "found: " not in text and "<<target>>" in text:
            return 'Thought: I look it up.\nAction: lookup\nAction Input: {"policy": "P-1"}'
        if "Save it." in text and "Observation: saved" not in text and "<<first>>" in text:
            return "Thought: I save it.\nAction: save\nAction Input: {}"
        return f"Thought: I know.\nFinal Answer: {ANSWER}"

    def supports_function_calling(self) -> bool:
        """No: the text protocol, in which the tools and their schemas are part of the prompt."""
        return False


def _without_functions(tool: Any) -> Any:
    return {key: value for key, value in tool.items() if not callable(value)} if isinstance(tool, dict) else str(tool)


def _schema_of(value: Any) -> Any:
    if isinstance(value, type) and issubclass(value, BaseModel):
        return value.model_json_schema()
    return str(value)


class Endpoint:
    """An endpoint of OpenAI's protocol on this machine, and the bodies that it was sent."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[str] = []

    def note(self, asked: list[Any], body: dict[str, Any]) -> None:
        """What was asked for, and the body."""
        sent = {key: value for key, value in body.items() if key not in _DELIVERY}
        self.requests.append(json.dumps([*asked, sent], sort_keys=True))


def asked_for(handler: JsonHandler) -> list[Any]:
    """Path, query and headers of a request, but what only admits it or lets it travel."""
    said = {name.lower(): value for name, value in handler.headers.items()}
    left_out = _ADMISSION | _TRAVEL | {name for name in said if name.startswith("x-stainless-")}
    return [handler.path, {name: value for name, value in sorted(said.items()) if name not in left_out}]


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Serve until the block ends."""
    with in_thread(_Handler) as server:
        found = Endpoint(address_of(server))
        server.endpoint = found  # type: ignore[attr-defined]
        yield found


class _Handler(JsonHandler):
    def do_GET(self) -> None:
        """Tell a tool what it asked."""
        if "event-stream" in self.headers.get("Accept", ""):
            return self.send_error(405)  # no stream of events beside the answers
        return self.reply(json.dumps(asked_for(self)))

    def do_DELETE(self) -> None:
        """End a session."""
        self.reply("{}")

    def serve_tools(self, asked: dict[str, Any]) -> None:
        """Answer as an MCP server with one tool, whose description says how it was asked."""
        if "id" not in asked:
            self.send_response(202)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        said = {name: value for name, value in asked_for(self)[1].items() if not name.startswith("mcp-")}
        schema = {"type": "object", "properties": {"item": {"type": "string"}}}
        tools = [{"name": "price", "description": f"Prices for {said}", "inputSchema": schema}]
        about = {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": {"name": "p", "version": "1"}}
        result = {"initialize": about, "tools/list": {"tools": tools}}.get(asked["method"], {})
        return self.reply(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}))

    def do_POST(self) -> None:
        body = self.received()
        if "jsonrpc" in body:
            self.serve_tools(body)
            return
        self.server.endpoint.note(asked_for(self), body)  # type: ignore[attr-defined]
        if "/responses" in self.path:
            self.reply(json.dumps(_response(body)))
        elif body.get("stream"):
            chunks = [_chunk({"role": "assistant", "content": _TEXT}), _chunk({}, "stop")]
            lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
            self.reply("".join(lines) + "data: [DONE]\n\n", "text/event-stream")
        else:
            self.reply(json.dumps(_completion()))


_TEXT = f"Thought: I know.\nFinal Answer: {ANSWER}"


def _completion() -> dict[str, Any]:
    message = {"role": "assistant", "content": _TEXT}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def _response(body: dict[str, Any]) -> dict[str, Any]:
    content = {"type": "output_text", "text": _TEXT, "annotations": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [content]}
    usage = {
        **{"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        **{"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
    }
    shape = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": usage}
    made = {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed"}
    return {**made, **shape, "output": [message]}
