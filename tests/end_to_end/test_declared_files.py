"""Files that a policy declares: found or refused, read again before an answer is kept, and told of where undeclared."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from crewai.knowledge.source.text_file_knowledge_source import TextFileKnowledgeSource
from crewai.rag.embeddings.providers.custom.custom_provider import CustomProvider
from crewai.tools import tool

from crew_repo import StateRepository, TaskPolicy
from crew_repo.errors import PolicyError
from crew_repo.model import ReasonKind
from tests.crews import LengthEmbedding, agent, task
from tests.models import PromptModel

pytestmark = pytest.mark.siege

LOOK = "Thought: I look.\nAction: {}\nAction Input: {{}}"


def seen(prompt: str) -> str:
    """Say what the tool said."""
    return "seen: " + prompt.rsplit("Observation:", 1)[1].split("\\n")[0].strip()


def asks(model: PromptModel, mark: str, name: str) -> None:
    """Let the task of this mark call this tool once, and answer with what it says."""
    look = LOOK.format(name)
    here = f"<<{mark}>>"
    model.script[here] = lambda prompt: seen(prompt) if "Observation:" in prompt.split(here)[-1] else look


@tool("terms")
def terms() -> str:
    """Read the terms."""
    return Path("terms.txt").read_text()


def one_task(model: PromptModel, **members: Any) -> Crew:
    """A task whose tool reads terms.txt."""
    asks(model, "check", "terms")
    worker = agent(model, tools=[terms], step_callback=meddle)
    return Crew(agents=[worker], tasks=[task("check", "check", worker, **members)])


def declares(*files: Any, **more: Any) -> dict[str, TaskPolicy]:
    """The policies of a run."""
    return {"check": TaskPolicy(files=files, **more)}


def run(repo: StateRepository, crew: Crew, policies: Any = None, **options: Any) -> list[str]:
    """What a run executes; what was planned as fresh is not among it, what was planned as stale is."""
    plan = repo.plan(crew, policies=policies, **options)
    executed: list[str] = repo.run(crew, policies=policies, **options).run.executed
    assert set(executed) <= {*plan.stale, *plan.missing, *plan.may_rerun}
    assert set(executed) >= {*plan.stale, *plan.missing}
    return executed


# What is found.


@pytest.mark.parametrize("given", ["terms/*.txt", "terms", "**/*.txt", "terms/**", "~/terms/*", "terms/[ab].txt"])
@pytest.mark.parametrize("change", ["edit", "add", "remove", "rename", "swap"])
def test_what_matches_counts(repo: StateRepository, model: PromptModel, tmp_path: Path, monkeypatch: Any,
                             given: str, change: str) -> None:  # fmt: skip
    """An edit, a new file, one that goes, another name or two contents that change places make the task stale."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "terms"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    policies = declares(given)
    Path("terms.txt").write_text("nothing")
    if change in ("remove", "swap"):
        (folder / "b.txt").write_text("two")
    assert run(repo, one_task(model), policies) == ["check"]
    assert run(repo, one_task(model), policies) == []
    if change == "edit":
        (folder / "a.txt").write_text("changed")
    elif change == "add":
        (folder / "b.txt").write_text("one")
    elif change == "remove":
        (folder / "b.txt").unlink()
    elif change == "rename":
        (folder / "a.txt").rename(folder / "b.txt")
    else:
        (folder / "a.txt").write_text("two")
        (folder / "b.txt").write_text("one")
    reasons = [str(reason) for reason in repo.plan(one_task(model), policies=policies)["check"].reasons]
    assert any("terms/" in reason for reason in reasons), reasons
    assert run(repo, one_task(model), policies) == ["check"]


@pytest.mark.parametrize("given", ["term.txt", "terms/*.pdf", "~/nowhere.txt", "/nowhere/a.txt", "empty", "empty/*",
                                   "{claim}.txt"])  # fmt: skip
@pytest.mark.parametrize("callbacks", [False, True])
def test_what_matches_nothing_is_an_error_before_anything_is_paid(
    repo: StateRepository, model: PromptModel, given: str, callbacks: bool
) -> None:
    """It names the task, what was declared, where that was looked for, and the remedy."""
    Path("empty").mkdir()
    Path("terms.txt").write_text("x")
    members = {"before_kickoff_callbacks": [lambda inputs: inputs]} if callbacks else {}
    worker = agent(model)
    crew = Crew(agents=[worker], tasks=[task("first", "x", worker), task("check", "y", worker)], **members)
    for start in (repo.run, repo.plan):
        with pytest.raises(PolicyError) as raised:
            start(crew, policies=declares("terms.txt", given))
        for word in ("'check'", repr(given), str(Path.cwd()), "missing_files"):
            assert word in str(raised.value)
    assert model.calls == []


def test_a_batch_refuses_it_too(repo: StateRepository, model: PromptModel) -> None:
    """Each item says so, and none is paid for."""
    with pytest.raises(PolicyError, match="nothing of that name"):
        repo.run_for_each(lambda: one_task(model), [{}], policies=declares("terms.txt"))
    assert model.calls == []


def test_what_may_be_missing_counts_as_missing(repo: StateRepository, model: PromptModel) -> None:
    """And once it is there, by what is in it."""
    Path("terms.txt").write_text("x")
    policies = declares("more/*.txt", "one.txt", missing_files="allow")
    assert run(repo, one_task(model), policies) == ["check"]
    assert run(repo, one_task(model), policies) == []
    Path("one.txt").write_text("x")
    assert run(repo, one_task(model), policies) == ["check"]
    Path("more").mkdir()
    Path("more/a.txt").write_text("x")
    assert run(repo, one_task(model), policies) == ["check"]
    assert run(repo, one_task(model), policies) == []


def writing(model: PromptModel, text: str, **members: Any) -> Crew:
    """The first task writes out/{name}.txt, which the other reads by itself."""
    worker = agent(model)
    first = task("write", text, worker, output_file="out/note.txt", **members)
    return Crew(agents=[worker], tasks=[first, task("check", "y", worker, context=[])])


@pytest.mark.parametrize("given", ["out/note.txt", "out/*.txt", "out", "**/note.txt"])
def test_what_a_task_above_writes_need_not_be_there(repo: StateRepository, model: PromptModel, given: str) -> None:
    """Whatever way it is declared; when it is gone, the run that restores it serves both tasks."""
    policies = declares(given)
    assert run(repo, writing(model, "a"), policies) == ["write", "check"]
    assert run(repo, writing(model, "a"), policies) == []
    Path("out/note.txt").unlink()
    assert run(repo, writing(model, "a"), policies) == []
    plan = repo.plan(writing(model, "b"), policies=policies)
    assert (plan.stale, plan.may_rerun) == (["write"], ["check"])
    assert run(repo, writing(model, "b"), policies) == ["write", "check"]


def test_what_a_task_below_writes_has_to_be_there(repo: StateRepository, model: PromptModel) -> None:
    """It is written too late."""
    with pytest.raises(PolicyError, match=r"out/note\.txt"):
        repo.run(writing(model, "a").model_copy(update={"tasks": writing(model, "a").tasks[::-1]}),
                 policies=declares("out/note.txt"))  # fmt: skip


def test_files_of_one_name_are_told_apart(repo: StateRepository, model: PromptModel, tmp_path: Path) -> None:
    """Three files of two contents, in folders of their own: which has which is told."""
    files = [tmp_path / folder / "x.txt" for folder in "abc"]
    Path("terms.txt").write_text("x")
    policies = declares(*files)
    for number, contents in enumerate(["112", "122", "121", "211"]):
        for file, content in zip(files, contents, strict=True):
            file.parent.mkdir(exist_ok=True)
            file.write_text(content)
        assert run(repo, one_task(model), policies) == ["check"], (number, contents)
    assert run(repo, one_task(model), policies) == []


def test_knowledge_files_of_one_name_are_told_apart(repo: StateRepository, model: PromptModel, tmp_path: Path) -> None:
    """The same of the files of one source."""
    embedder = CustomProvider(embedding_callable=LengthEmbedding)
    files = [tmp_path / folder / "x.txt" for folder in "abc"]
    for contents in ("112", "122", "121", "211"):
        for file, content in zip(files, contents, strict=True):
            file.parent.mkdir(exist_ok=True)
            file.write_text(content)
        worker = agent(model)
        source = TextFileKnowledgeSource(file_paths=list(files))
        crew = Crew(agents=[worker], tasks=[task("check", "y", worker)], knowledge_sources=[source], embedder=embedder)
        assert run(repo, crew) == ["check"], contents


def test_a_pipe_is_not_waited_for(repo: StateRepository, model: PromptModel) -> None:
    """It cannot be hashed, so its task runs every time."""
    Path("terms.txt").write_text("x")
    Path("box").mkdir()
    os.mkfifo("box/pipe")
    assert run(repo, one_task(model), declares("box")) == ["check"]
    assert run(repo, one_task(model), declares("box")) == ["check"]
    kinds = [reason.kind for reason in repo.plan(one_task(model), policies=declares("box"))["check"].reasons]
    assert ReasonKind.NOT_HASHABLE in kinds


@pytest.mark.parametrize("given", [".", "**", "*"])
def test_the_state_itself_is_no_file_of_the_users(repo: StateRepository, model: PromptModel, given: str) -> None:
    """Each run writes it; it may lie in a folder that is declared."""
    Path("terms.txt").write_text("x")
    assert run(repo, one_task(model), declares(given)) == ["check"]
    assert run(repo, one_task(model), declares(given)) == []


# What changes while a task is executed.


MEANWHILE: list[Callable[[], Any]] = []


def meddle(_: Any) -> None:
    """A step callback: somebody does something while a task is executed."""
    while MEANWHILE:
        MEANWHILE.pop()()


def put_back(file: Path) -> None:
    """Edit and restore, content, size and time of last change."""
    before, text = file.stat(), file.read_text()
    file.write_text(text.swapcase())
    file.write_text(text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(file: Path) -> None:
    """As editors save: another file takes the name."""
    other = file.with_suffix(".new")
    other.write_text("excess 500")
    other.replace(file)


MEDDLE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "edited": (lambda file: file.write_text("excess 500"), "terms.txt changed"),
    "edited to the same size": (lambda file: file.write_text("excess 101"), "terms.txt changed"),
    "replaced": (replaced, "terms.txt changed"),
    "put back": (put_back, "terms.txt was written to"),
}


@pytest.mark.parametrize("how", MEDDLE)
@pytest.mark.parametrize("given", ["terms.txt", "*.txt", "."])
def test_a_file_that_changes_meanwhile(
    model: PromptModel, caplog: Any, tmp_path: Path, monkeypatch: Any, how: str, given: str
) -> None:
    """Nobody knows what the answer was made of: it is kept, not served, and the reason says why."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    file = Path("terms.txt")
    file.write_text("excess 100")
    change, says = MEDDLE[how]
    with StateRepository(tmp_path / "state.db") as elsewhere:
        MEANWHILE.append(lambda: change(file))
        assert run(elsewhere, one_task(model), declares(given)) == ["check"]
        file.write_text("excess 100")
        assert len(elsewhere.history("check")) == 1
        (reason,) = elsewhere.plan(one_task(model), policies=declares(given))["check"].reasons
        assert f"{says} while the task was being executed" in str(reason)
        assert says in caplog.text
        assert run(elsewhere, one_task(model), declares(given)) == ["check"]
        assert run(elsewhere, one_task(model), declares(given)) == []


def test_a_file_that_appears_or_goes_meanwhile(repo: StateRepository, model: PromptModel) -> None:
    """A pattern would have found another set of files."""
    Path("terms.txt").write_text("x")
    Path("more").mkdir()
    Path("more/a.txt").write_text("x")
    MEANWHILE.append(lambda: Path("more/b.txt").write_text("x"))
    assert run(repo, one_task(model), declares("more/*.txt")) == ["check"]
    Path("more/b.txt").unlink()
    (reason,) = repo.plan(one_task(model), policies=declares("more/*.txt"))["check"].reasons
    assert "more/b.txt appeared" in str(reason)
    MEANWHILE.append(lambda: Path("more/a.txt").unlink())
    assert run(repo, one_task(model), declares("more/*.txt")) == ["check"]
    Path("more/a.txt").write_text("x")
    (reason,) = repo.plan(one_task(model), policies=declares("more/*.txt"))["check"].reasons
    assert "more/a.txt vanished" in str(reason)


def test_an_ignored_file_may_change_meanwhile(repo: StateRepository, model: PromptModel) -> None:
    """What the policy leaves out does not count, whenever it changes."""
    Path("terms.txt").write_text("x")
    Path("log.txt").write_text("x")
    policies = declares("*.txt", ignore=("file:log.txt", "file:new.txt"))
    MEANWHILE.append(lambda: (Path("log.txt").write_text("y"), Path("new.txt").write_text("y")))
    assert run(repo, one_task(model), policies) == ["check"]
    assert run(repo, one_task(model), policies) == []


def test_a_task_that_writes_what_it_declares_says_so(repo: StateRepository, model: PromptModel, caplog: Any) -> None:
    """It never becomes fresh, and the warning has the remedy."""

    @tool("terms")
    def appends() -> str:
        """Note that somebody asked."""
        with Path("log.txt").open("a") as log:
            log.write("asked\n")
        return "x"

    Path("log.txt").write_text("")
    asks(model, "check", "terms")
    worker = agent(model, tools=[appends])
    crew = Crew(agents=[worker], tasks=[task("check", "check", worker)])
    for _ in range(2):
        assert run(repo, crew, declares("log.txt")) == ["check"]
    assert "log.txt changed while the task was being executed" in caplog.text
    assert "if the task itself writes it, take it out of TaskPolicy(files=...)" in caplog.text


def test_input_and_knowledge_files_are_read_again_too(repo: StateRepository, model: PromptModel) -> None:
    """They may not be what the answer was made of either."""
    for name in ("terms.txt", "known.txt", "given.txt"):
        Path(name).write_text("one")
    embedder = CustomProvider(embedding_callable=LengthEmbedding)

    def crew() -> Crew:
        made = one_task(model)
        made.tasks[0].__dict__["input_files"] = {"given": Path("given.txt").resolve()}
        sources = [TextFileKnowledgeSource(file_paths=[Path("known.txt").resolve()])]
        return Crew(agents=made.agents, tasks=made.tasks, knowledge_sources=sources, embedder=embedder)

    for name, part in (("known.txt", "knowledge:known.txt"), ("given.txt", "given")):
        change = Path(name)
        MEANWHILE.append(lambda change=change: change.write_text("two"))
        assert run(repo, crew()) == ["check"]
        change.write_text("one")
        (reason,) = repo.plan(crew())["check"].reasons
        assert part in str(reason)
        assert "changed while the task was being executed" in str(reason)
    assert run(repo, crew()) == ["check"]
    assert run(repo, crew()) == []


def test_tasks_side_by_side_are_told_apart(repo: StateRepository, tmp_path: Path) -> None:
    """Of two async tasks only the one whose file changed is not served."""
    both = threading.Barrier(2)

    class Waiting(PromptModel):
        def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
            both.wait()
            if "<<one>>" in str(messages):
                Path("one.txt").write_text("changed")
            both.wait()
            return super().call(messages, *args, **kwargs)

    for name in ("one.txt", "two.txt"):
        Path(name).write_text("x")
    model = Waiting(model="m")
    workers = [agent(model, role) for role in ("A", "B")]
    tasks = [task(name, "x", who, async_execution=True) for name, who in zip(("one", "two"), workers, strict=True)]
    end = task("end", "y", agent(PromptModel(model="n"), "C"), context=[])
    crew = Crew(agents=[*workers, end.agent], tasks=[*tasks, end])
    policies = {name: TaskPolicy(files=f"{name}.txt") for name in ("one", "two")}
    repo.run(crew, policies=policies)
    Path("one.txt").write_text("x")
    assert repo.plan(crew, policies=policies).stale == ["one"]


# What is not declared.


def handing_on(model: PromptModel, text: str, **check: Any) -> Crew:
    """The first task's tool writes terms.txt and says "done"; the last one's reads it; another stands in between."""

    @tool("write")
    def write() -> str:
        """Write the terms."""
        Path("terms.txt").write_text(text)
        return "done"

    asks(model, "write", "write")
    asks(model, "check", "terms")
    tools = check.pop("tools", [terms])
    tasks = [
        task("write", "write", agent(model, "A", tools=[write])),
        task("between", "x", agent(model, "B")),
        task("check", "check", agent(model, "C", tools=tools), **check),
    ]
    return Crew(agents=[each.agent for each in tasks], tasks=tasks)


def warnings(caplog: Any) -> list[str]:
    """What was said of early cutoff since the last call."""
    found = [record.getMessage() for record in caplog.records if "executed again" in record.getMessage()]
    caplog.clear()
    return found


def test_a_file_that_nobody_declared_is_told_of_once(repo: StateRepository, model: PromptModel, caplog: Any) -> None:
    """The upstream says the same, and wrote another file: that cannot be seen, so the run says so, with the remedy."""
    assert run(repo, handing_on(model, "one")) == ["write", "between", "check"]
    assert run(repo, handing_on(model, "one")) == []
    assert warnings(caplog) == []
    assert run(repo, handing_on(model, "two")) == ["write"]
    (said,) = warnings(caplog)
    for word in ("task check", "'write'", "TaskPolicy(files=", "files=()"):
        assert word in said
    assert run(repo, handing_on(model, "two")) == []
    assert warnings(caplog) == []
    assert run(repo, handing_on(model, "three"), declares("terms.txt")) == ["write", "check"]
    assert run(repo, handing_on(model, "four"), declares("terms.txt")) == ["write", "check"]
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    ("members", "policies"),
    [
        ({"tools": []}, None),
        ({"context": []}, None),
        ({}, {"check": TaskPolicy(files=())}),
        ({}, {"*": TaskPolicy(files="terms.txt", missing_files="allow")}),
    ],
    ids=["no tools below", "reads no upstream", "declared: none", "declared for all"],
)
def test_no_word_where_nothing_can_be_missed(
    repo: StateRepository, model: PromptModel, caplog: Any, members: Any, policies: Any
) -> None:
    """A warning that everybody gets is read by nobody."""
    for text in ("one", "two"):
        repo.run(handing_on(model, text, **members), policies=policies)
    assert warnings(caplog) == []


def test_an_upstream_without_tools_is_no_matter(repo: StateRepository, model: PromptModel, caplog: Any) -> None:
    """It has written nothing but its words."""
    model.script["<<between>>"] = "the same"
    repo.run(handing_on(model, "one"))
    crew = handing_on(model, "one")
    crew.tasks[1].description += "!"
    assert repo.run(crew).run.executed == ["between"]
    assert warnings(caplog) == []
