"""What a decision says to people."""

from __future__ import annotations

from crew_repo.model import Decision, Reason, ReasonKind, Status


def changed(component: str, root: str | None = None) -> Reason:
    return Reason(ReasonKind.CHANGED, component, root=root)


def upstream(name: str, status: Status, root: str | None) -> Reason:
    return Reason(ReasonKind.UPSTREAM, f"upstream:{name}", str(status), root=root)


def causes(*reasons: Reason) -> list[str]:
    return Decision("draft", Status.STALE, reasons).causes


def test_a_text_is_not_named_beside_the_input_that_changed_it() -> None:
    """One cause, said once."""
    by_input = changed("task.description", root="input:notes changed")
    assert causes(changed("input:notes"), by_input) == ["input:notes changed"]


def test_a_text_that_was_edited_itself_is_named_as_well() -> None:
    """The input alone does not explain it."""
    edited = [changed("input:notes"), changed("task.description")]
    assert causes(*edited) == [str(reason) for reason in edited]
    assert causes(changed("task.description")) == ["task.description changed"]
    assert causes(changed("input:notes"), changed("agent.llm.model")) == ["input:notes changed", "agent.llm.model changed"]


def test_upstreams_that_wait_for_one_change_share_a_line() -> None:
    """In English, too: a task is stale, but it may rerun."""
    root = "input:notes changed"
    stale, waiting = upstream("a", Status.STALE, root), upstream("b", Status.MAY_RERUN, root)
    assert causes(stale) == ["upstream:a is stale (input:notes changed)"]
    assert causes(waiting) == ["upstream:b may rerun (input:notes changed)"]
    assert causes(stale, waiting) == ["upstream:a, upstream:b (input:notes changed)"]
    assert causes(stale, upstream("c", Status.MISSING, None)) == ["upstream:c is missing", str(stale)]
