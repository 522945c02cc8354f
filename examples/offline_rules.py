"""The rules of the offline model: which words of a task call for which answer, and how it is found in the prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol


class Prompt(Protocol):
    """The parts of a prompt that the rules read; see offline_model.Prompt."""

    task: str
    context: tuple[str, ...]
    tools: tuple[str, ...]
    observation: str | None


def answer_to(prompt: Prompt) -> str:
    """The answer of the first rule whose words begin the task, else the task's first sentence."""
    for words, rule in RULES:
        if prompt.task.startswith(words):
            return rule(prompt)
    return _sentences(prompt.task)[0]


# Insurance claims (claims_triage.py, queries.py)


def analysis(prompt: Prompt) -> str:
    """Policy number, loss date, issue and amount, from the case notes in the task."""
    dates = _loss_dates(prompt.task)
    others = f" (also given: {', '.join(dates[1:])})" if len(dates) > 1 else ""
    return "\n".join(
        [
            f"Policy number: {_policy_number(prompt.task)}",
            f"Loss date: {dates[0] if dates else 'not given'}{others}",
            f"Issue: {_issue(prompt.task)}",
            f"Amount claimed: EUR {_claimed(prompt.task)}",
        ]
    )


def coverage(prompt: Prompt) -> str:
    """A typed coverage answer, from the analysis and the policy; asks for the policy first."""
    facts = "\n".join(prompt.context)
    if prompt.observation is None and "lookup_policy" in prompt.tools:
        wanted = json.dumps({"policy_number": _policy_number(facts)})
        return f"Thought: I need the policy's terms\nAction: lookup_policy\nAction Input: {wanted}"
    policy = _first_json(prompt.observation or "") or {}
    claimed = Decimal(_claimed(facts))
    clause, reason = _clause(policy, _issue(facts), _loss_dates(facts))
    deductible, limit = (Decimal(str(policy.get(name, "0.00"))) for name in ("deductible", "limit"))
    payable = max(min(claimed, limit) - deductible, Decimal("0.00")) if clause else Decimal("0.00")
    return json.dumps(
        {
            "policy_number": _policy_number(facts),
            "covered": clause is not None,
            "clause": clause,
            "deductible": str(deductible),
            "payable": str(payable),
            "reason": reason,
        }
    )


def _clause(policy: dict[str, Any], issue: str, dates: list[str]) -> tuple[str | None, str]:
    if not policy.get("perils"):
        return None, "no such policy"
    if not dates or not policy["valid_from"] <= dates[0] <= policy["valid_to"]:
        return None, "the loss date is outside the policy period"
    for peril, clause in policy["perils"].items():
        if peril in issue:
            return clause, f"{peril} is insured and the loss date is within the policy period"
    return None, f"{issue} is not insured"


def fraud(prompt: Prompt) -> str:
    """A typed fraud screen: a score and the signals for it, from the case notes in the task."""
    notes = " ".join(prompt.task.split())
    found = [(points, signal) for points, signal, pattern in SIGNALS if re.search(pattern, notes, re.IGNORECASE)]
    dates, reported = _loss_dates(prompt.task), _dates(_after(notes, "Call taken"))
    if len(dates) > 1:
        found.append((40, f"contradicting loss dates {' and '.join(dates)}"))
    if dates and reported and reported[0] < dates[0]:
        found.append((55, f"reported on {reported[0]}, before the loss on {dates[0]}"))
    score = min(100, 5 + sum(points for points, _ in found))
    return json.dumps({"score": score, "signals": [s for _, s in found], "claimed": _claimed(prompt.task)})


SIGNALS = (
    (20, "no receipts", r"\bno receipts\b"),
    (10, "paid in cash", r"\bpaid in cash\b"),
    (20, "no marks of forced entry", r"\bno door or window shows marks\b"),
    (15, "sum insured was increased", r"\bsum insured\b.*\bincreased\b"),
    (10, "earlier claims", r"\b(one|two|three|several) earlier claims?\b"),
)


def escalation(prompt: Prompt) -> str:
    """Who has to look at the claim, from the fraud screen."""
    screen = next((found for block in prompt.context if (found := _first_json(block)) and "score" in found), {})
    why = "; ".join(screen.get("signals", [])) or f"EUR {screen.get('claimed', '?')} is above the adjuster's authority"
    return f"Escalate to the special investigations desk: {why}."


def reserve(prompt: Prompt) -> str:
    """The amount to set aside, from the coverage answer."""
    answer = _first_json("\n".join(prompt.context)) or {}
    payable = Decimal(str(answer.get("payable", "0.00")))
    return f"Reserve EUR {payable * Decimal('1.10'):.2f} (payable EUR {payable} plus 10 % handling)."


def checklist(_: Prompt) -> str:
    """A list that depends on nothing."""
    return "1. Signed claim form\n2. Photographs of the damage\n3. Invoices or estimates\n4. Police reference, if any"


def letter(prompt: Prompt) -> str:
    """A letter in the name of the adjuster whom the task names."""
    adjuster = _after(prompt.task, "in the name of ").partition(".")[0]
    return f"We have received your claim and will call you within two working days.\nKind regards\n{adjuster}"


def triage_note(prompt: Prompt) -> str:
    """The internal note, from whatever of analysis, coverage and escalation the task was given."""
    facts = "\n".join(prompt.context)
    answer = _first_json(facts) or {}
    verdict = f"clause {answer['clause']}" if answer.get("covered") else f"not covered, {answer.get('reason', '?')}"
    escalated = next((block for block in prompt.context if block.startswith("Escalate")), "No escalation.")
    date = next(iter(_loss_dates(facts)), "an unknown date")
    return (
        f"Policy {_policy_number(facts)}: {_issue(facts)} on {date}."
        f"\nCoverage: {verdict}; payable EUR {answer.get('payable', '0.00')} of EUR {_claimed(facts)}.\n{escalated}"
    )


# Minutes of a meeting (crewbase_project) and chapters (flow_chapters.py)


def actions(prompt: Prompt) -> str:
    """The sentences in which somebody says what they will do."""
    found = re.findall(r"[A-Z]\w+ will [^.]+\.", " ".join(prompt.task.split()))
    return "\n".join(f"- {sentence}" for sentence in found) or "- none"


def follow_up(prompt: Prompt) -> str:
    """A message with the actions found upstream, in the name that the task gives."""
    chair = _after(prompt.task, "in the name of ").partition(".")[0]
    return "Dear all, this is what we agreed on:\n" + "\n".join(prompt.context) + f"\nThank you. {chair}"


def summary(prompt: Prompt) -> str:
    """The first sentence of each paragraph after the task's own and the heading of the notes."""
    paragraphs = [part for part in prompt.task.split("\n\n")[2:] if part.strip()]
    return " ".join(_sentences(part)[0] for part in paragraphs)


def chapter(prompt: Prompt) -> str:
    """A heading, as the task gives it, over what upstream said."""
    return f"## {_after(prompt.task, 'titled ').partition('.')[0]}\n" + "\n".join(prompt.context)


# Questions about orders (json_project)


def order_status(prompt: Prompt) -> str:
    """The tool's word on the order that the task names; the tool is asked first."""
    if prompt.observation is None and "order_status" in prompt.tools:
        wanted = json.dumps({"order": _after(prompt.task, "order ").partition(" ")[0]})
        return f"Thought: I have to look it up\nAction: order_status\nAction Input: {wanted}"
    return (prompt.observation or "not known").partition("\n")[0]


def reply(prompt: Prompt) -> str:
    """A letter to the customer whom the task names, with what upstream said."""
    customer = _after(prompt.task, "reply to ").partition(",")[0]
    return f"Dear {customer},\n" + "\n".join(prompt.context) + "\nKind regards, the order desk"


RULES: tuple[tuple[str, Callable[[Prompt], str]], ...] = (
    ("Extract the policy number", analysis),
    ("Check whether the policy covers", coverage),
    ("Screen these case notes for fraud", fraud),
    ("Say who has to look", escalation),
    ("Set the reserve", reserve),
    ("List the documents", checklist),
    ("Write a letter", letter),
    ("Draft the internal triage note", triage_note),
    ("List the action items", actions),
    ("Write a follow-up", follow_up),
    ("Summarise", summary),
    ("Write the chapter", chapter),
    ("Say where order", order_status),
    ("Write a reply", reply),
)


# Finding things in text

MONTHS = [
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
]
DATE = re.compile(rf"\b(\d{{4}}-\d\d-\d\d|\d{{1,2}} (?:{'|'.join(MONTHS)}) \d{{4}})\b")
LOSS = re.compile(r"\b(loss date|date of loss|happened|occurred)\b", re.IGNORECASE)
ISSUES = (
    ("water damage", r"\b(water damage|burst|leak)"),
    ("collision", r"\bcollision"),
    ("theft", r"\b(theft|break-in|stolen)\b"),
    ("fire", r"\bfire\b"),
)


def _policy_number(text: str) -> str:
    found = re.search(r"\b[A-Z]{2}-\d{4}-\d{3}\b", text)
    return found.group() if found else "not given"


def _claimed(text: str) -> str:
    found = re.search(r"Amount claimed: EUR ([\d,]+(?:\.\d\d)?)", text)
    return found.group(1).replace(",", "") if found else "0.00"


def _issue(text: str) -> str:
    return next((name for name, pattern in ISSUES if re.search(pattern, text, re.IGNORECASE)), "not given")


def _loss_dates(text: str) -> list[str]:
    spoken = [date for sentence in _sentences(text) if LOSS.search(sentence) for date in _dates(sentence)]
    return list(dict.fromkeys(spoken))


def _dates(text: str) -> list[str]:
    return [date if "-" in date else _iso(*date.split()) for date in DATE.findall(text)]


def _iso(day: str, month: str, year: str) -> str:
    return f"{year}-{MONTHS.index(month) + 1:02}-{int(day):02}"


def _sentences(text: str) -> list[str]:
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?=[A-Z][a-z ]+: )", text))
    return [sentence for part in paragraphs for sentence in re.split(r"(?<=[.!?])(?<![A-Z]\.) (?=[A-Z])", part)]


def _after(text: str, words: str) -> str:
    return text.partition(words)[2]


def _first_json(text: str) -> dict[str, Any] | None:
    start = text.find("{")
    if start < 0:
        return None
    value, _ = json.JSONDecoder().raw_decode(text[start:])
    return value if isinstance(value, dict) else None
