"""What the model of each case says: functions of the request alone, but for the mark that each answer carries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tests.crash.journal.model_server import Asked, Calls, Said

__all__ = ["Script", "attempts", "come_together", "converts", "delegates", "plans", "reacts", "steps", "sums_up"]

Script = Callable[[Asked, str], Said]


def steps(rounds: int, *, width: int = 1, ids: bool = True) -> Script:
    """So many answers that each call the tool `step`, then a text. `width` calls in each answer.

    Of a tool alone, whatever CrewAI calls one of an MCP server's, the name is not known here.
    """

    def say(asked: Asked, mark: str) -> Said:
        if not asked.tools or asked.rounds >= rounds:
            return f"Final {mark}"
        name = "step" if "step" in asked.tools else asked.tools[0]
        calls = [(name, {"number": asked.rounds * width + at, "mark": mark}) for at in range(width)]
        return Calls(calls, ids)

    return say


def reacts(rounds: int) -> Script:
    """The same tool calls in the ReAct text protocol."""

    def say(asked: Asked, mark: str) -> Said:
        if asked.rounds >= rounds:
            return f"Thought: I know.\nFinal Answer: Final {mark}"
        arguments = json.dumps({"number": asked.rounds, "mark": mark})
        return f"Thought: go on\nAction: step\nAction Input: {arguments}"

    return say


def sums_up(rounds: int) -> Script:
    """The same, and summaries of what was said when it becomes too long."""

    def say(asked: Asked, mark: str) -> Said:
        done = sorted(set(re.findall(r"step \d+ is done", asked.text)))
        if "structured summary here" in str(asked.messages[-1]["content"]):
            return f"<summary>{', '.join(done)}, {mark}</summary>"
        if len(done) >= rounds:
            return f"Thought: I know.\nFinal Answer: Final {mark}"
        arguments = json.dumps({"number": len(done), "mark": mark})
        return f"Thought: go on\nAction: step\nAction Input: {arguments}"

    return say


def delegates(*, workers_steps: int) -> Script:
    """A manager who delegates twice, then answers; a worker who does some steps, then answers."""
    work = steps(workers_steps)

    def say(asked: Asked, mark: str) -> Said:
        if "delegate_work_to_coworker" not in asked.tools:
            return work(asked, mark)
        if asked.rounds >= 2:
            return f"Final {mark}"
        part = {"task": f"part {asked.rounds}", "context": mark, "coworker": "Worker"}
        return Calls([("delegate_work_to_coworker", part)])

    return say


def attempts(rounds: int, needed: int) -> Script:
    """Some steps, then a text that says which attempt it is; a guardrail that is a model lets the last one pass."""
    work = steps(rounds)

    def say(asked: Asked, mark: str) -> Said:
        said = [int(number) for number in re.findall(r"attempt (\d+)", asked.text)]
        if "Guardrail Agent" in asked.text:
            verdict = {"valid": max(said) >= needed, "feedback": f"make attempt {max(said) + 1} of it, {mark}"}
            return json.dumps(verdict)
        answer = work(asked, mark)
        return f"attempt {max(said, default=1)} {mark}" if isinstance(answer, str) else answer

    return say


def converts(rounds: int) -> Script:
    """Some steps and a text; asked for a schema, the text as JSON."""
    work = steps(rounds)

    def say(asked: Asked, mark: str) -> Said:
        return json.dumps({"text": f"Final {mark}"}) if "response_format" in asked.body else work(asked, mark)

    return say


def plans(rounds: int, planned: int, *, at_once: bool = False) -> Script:
    """A plan of so many steps, each after the one before or all at once, then the work."""
    work = steps(rounds)

    def say(asked: Asked, mark: str) -> Said:
        if "create_reasoning_plan" not in asked.tools:
            return work(asked, mark)
        todo = [{"step_number": at + 1, "description": f"part {at}", "tool_to_use": "step",
                 "depends_on": [] if at_once or not at else [at]} for at in range(planned)]  # fmt: skip
        return Calls([("create_reasoning_plan", {"plan": f"do it, {mark}", "steps": todo, "ready": True})])

    return say


def come_together(*names: str) -> Callable[[str, str], int]:
    """Messages of the named tasks come at once, and each other alone."""

    def together(_: str, text: str) -> int:
        return len(names) if any(f" {name} " in f" {text} " for name in names) else 1

    return together
