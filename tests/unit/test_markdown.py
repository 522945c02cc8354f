"""A plan in Markdown: whatever a name or a reason holds, GitHub shows it as text."""

from __future__ import annotations

import html
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from crew_repo import Cost, Decision, Plan, Reason, ReasonKind, Status, Usage
from crew_repo.model.markdown import cell, label

NASTY = [
    "end", "a|b", "a\\|b", "`code`", "<b>bold</b>", "*a* _b_ __c__ ~~d~~", "line\nbreak", "@octocat", "#12", "$x$", ":tada:",
    "https://example.com", "[a](b)", "![a](b)", "&amp;", '"quoted"', "a]b)c}d", "1. one", "- one", "# one", "%%{init}%%", "",
    "style a:b#c;", "ｗｉｄｅ 名前 🎉", "\u202eright to left", "a; b", "t0 --> t1", "subgraph", "```", "\x1b[31m", "a\tb",
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=40), st.sampled_from(NASTY), st.text("|\\`<>*_#&;\"'[]{}()@$~:. -ab1\n", max_size=12))


def on_a_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def cells_of(markdown: str) -> list[list[str]]:
    """The texts of a table's cells, by another reader of Markdown."""
    rows: list[list[str]] = []
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "table_close":
            break
        if token.type == "inline" and rows:
            parts = token.children or []
            assert {part.type for part in parts} <= {"text", "text_special", "html_inline"}
            assert {part.content for part in parts if part.type == "html_inline"} <= {"<code>", "</code>", "<br>"}
            rows[-1].append("".join(part.content for part in parts if part.type != "html_inline"))
    return rows


@given(TEXTS, TEXTS)
def test_a_cell_shows_its_text(one: str, other: str):
    """And the one beside it, whatever both hold."""
    assert cells_of(f"| a | b |\n| --- | --- |\n| {cell(one)} | {cell(other)} |\n")[1] == [on_a_line(one), on_a_line(other)]


@given(TEXTS)
def test_nobody_is_called_and_nothing_is_linked(text: str):
    """The source has no mention, no number of an issue, and no address that GitHub would make a link of."""
    assert not re.search(r"@|(?<!&)#|://|<(?!/?code>)", cell(text))


@given(TEXTS)
def test_a_label_shows_its_text(text: str):
    """Mermaid reads each number as its character; all else in a label means nothing to it."""
    source = label(text)
    assert re.fullmatch(r"(?:#\d+;|\w|[ _.-])+", source)
    assert not re.search(r"(?<![^\W_])[_.-]|[_.-](?![^\W_])", re.sub(r"#\d+;", " ", source))
    assert re.sub(r"#(\d+);", lambda found: chr(int(found[1])), source).strip() == on_a_line(text)


def plan(*decisions: Decision, currency: str | None = None, notes: tuple[str, ...] = ()) -> Plan:
    return Plan("w", decisions, notes, currency=currency)


CHANGED = Reason(ReasonKind.CHANGED, "input:a", old="1", new="2", old_text="x | y", new_text="@z")
FOUR = (
    Decision("facts", Status.FRESH, usage=Usage(1200), seconds=0.34),
    Decision("note", Status.STALE, (CHANGED,), usage=Usage(80), seconds=1.0, reads=("facts",)),
    Decision("end", Status.MISSING, (Reason(ReasonKind.NEVER_RAN),), reads=("facts", "note")),
    Decision('a "b" c', Status.MAY_RERUN, reads=("note", "not in this plan")),
)


def test_a_whole_plan():
    """The table, the estimate, the notes, and a graph with a shape and a class for each state."""
    assert plan(*FOUR, notes=("no task reads @x",)).to_markdown() == """\
| task | status | tokens | seconds | why |
| --- | --- | ---: | ---: | --- |
| <code>facts</code> | fresh | 1,200 | 0.3 |  |
| <code>note</code> | stale | 80 | 1.0 | <code>input:a: x &#124; y -&#62; &#64;z</code> |
| <code>end</code> | missing |  |  | <code>never ran</code> |
| <code>a "b" c</code> | may rerun |  |  |  |

1 fresh, 3 to run, 1 of them never ran; about 80 tokens and 1.0 s to spend, and what 2 more cost is unknown, 1,200 tokens and 0.3 s saved

note: <code>no task reads &#64;x</code>

```mermaid
flowchart TD
    t0(["facts<br/>fresh"])
    t1["note<br/>stale"]
    t2[["end<br/>missing"]]
    t3{{"a #34;b#34; c<br/>may rerun"}}
    t0 --> t1
    t0 --> t2
    t1 --> t2
    t1 --> t3
    classDef fresh fill:#d3f2d9,stroke:#2a7d3c,color:#000
    class t0 fresh
    classDef stale fill:#ffe9b8,stroke:#9a6700,color:#000
    class t1 stale
    classDef missing fill:#ffd9d6,stroke:#b42318,color:#000
    class t2 missing
    classDef may_rerun fill:#fff6de,stroke:#9a6700,color:#000,stroke-dasharray:5 5
    class t3 may_rerun
```
"""


def test_costs_are_in_the_table_if_there_are_prices():
    """In a column of their own, and in the estimate."""
    priced = Decision("a", Status.STALE, usage=Usage(80), seconds=1.0, cost=Cost(Decimal("0.5"), "A|B", 3))
    header, _, row, *rest = plan(priced, currency="A|B").to_markdown().splitlines()
    assert header == "| task | status | tokens | seconds | cost | why |"
    assert row == "| <code>a</code> | stale | 80 | 1.0 | 0.5000 A&#124;B + 3 tokens without a price |  |"
    assert "about 80 tokens (0.5000 A&#124;B + 3 tokens without a price) and 1.0 s to spend" in rest[1]


@pytest.mark.parametrize("name", NASTY)
def test_a_name_breaks_neither_table_nor_graph(name: str):
    """There are as many rows, cells, nodes and arrows as without it."""
    text = plan(Decision(name, Status.STALE), Decision("other", Status.STALE, reads=(name,))).to_markdown()
    table, _, graph = text.partition("```mermaid\n")
    assert [len(row) for row in cells_of(table)] == [5, 5, 5]
    assert cells_of(table)[1][0] == html.unescape(on_a_line(name).replace("&", "&amp;"))
    assert len(graph.splitlines()) == 7
    assert graph.count("-->") == 1
