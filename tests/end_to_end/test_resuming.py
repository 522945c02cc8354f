"""Going on with the last run of a workflow: nothing has to be given again that the state has."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from crewai import Crew

from crew_repo import InputError, Plan, StateRepository
from tests import crews
from tests.crews import NEW_NOTES, NOTES
from tests.models import PromptModel

HERE = "tests.end_to_end.test_resuming"
models: list[Line] = []


class Line(PromptModel):
    """A model whose line may be down when the second task calls."""

    down: bool = False

    def answer(self, prompt: str) -> str:
        """The answer, if the line is up."""
        if self.down and "<<draft>>" in prompt:
            raise ConnectionError("the line is down")
        return super().answer(prompt)


def build(*, down: bool = False) -> Crew:
    """A crew that can be loaded from here; its models are kept in `models`."""
    models.append(Line(model="m", down=down))
    return crews.sequential_unspecified_context(models[-1])


@pytest.fixture
def failed(repo: StateRepository) -> StateRepository:
    """A repository in which the second task of CLM-1 failed, in a process that is gone."""
    with StateRepository(repo.url) as gone, pytest.raises(ConnectionError):
        gone.run(build(down=True), NOTES, workflow_id="CLM-1", source=f"{HERE}:build")
    models.clear()
    return repo


def test_it_goes_on_with_the_crew_at_the_source_of_the_run(failed: StateRepository) -> None:
    """In another process too: what had finished is reused, the task that failed is executed, and both say so."""
    result = failed.resume("CLM-1")
    assert (result.run.executed, result.run.reused) == (["draft"], ["analyze"])
    assert (result.run.workflow_id, result.run.source) == ("CLM-1", f"{HERE}:build")
    assert models[0].called_for() == ["draft"]
    assert {each.name: each.value for each in result.run.inputs} == NOTES


async def test_on_an_event_loop(failed: StateRepository) -> None:
    """The same, to be awaited."""
    assert (await failed.aresume("CLM-1")).run.executed == ["draft"]


def test_without_a_workflow_it_is_the_last_run_of_all(failed: StateRepository) -> None:
    """The newest one, whichever workflow it was."""
    assert failed.resume().run.workflow_id == "CLM-1"


def test_a_crew_that_this_process_ran_is_known(repo: StateRepository) -> None:
    """As long as it is there; once it is gone, it has to be passed."""
    crew = build(down=True)
    with pytest.raises(ConnectionError):
        repo.run(crew, NOTES)
    models[-1].down = False
    assert repo.resume().run.executed == ["draft"]
    with StateRepository(repo.url) as other, pytest.raises(InputError, match=r"as an object.*pass crew=.*source="):
        other.resume()
    with StateRepository(repo.url) as other:
        assert other.resume(crew=crew).run.executed == []


def test_a_crew_that_ran_before_the_last_run_is_not_taken_for_its_crew(repo: StateRepository) -> None:
    """Where another process has run the workflow since, with a crew of its own, that has to be passed."""
    crew = build()
    repo.run(crew, NOTES, workflow_id="CLM-1")
    with StateRepository(repo.url) as other:
        changed = build()
        changed.tasks[0].description = "<<analyze>> another text: {notes}"
        other.run(changed, NEW_NOTES, workflow_id="CLM-1")
    with pytest.raises(InputError, match=r"as an object.*pass crew="):
        repo.resume("CLM-1")
    assert repo.resume("CLM-1", crew=crew).run.executed == ["analyze", "draft"]


def test_what_an_earlier_kickoff_has_left_in_the_texts_is_given_again(repo: StateRepository) -> None:
    """A run without inputs of a crew that had some asks with those; so does a run that goes on, with a new crew."""
    crew = build()
    crew.kickoff(dict(NOTES))
    first = repo.run(crew)
    assert first.run.inputs
    again = repo.resume(crew=build())
    assert ([task.description for task in again.tasks_output], again.run.executed) == (
        [task.description for task in first.tasks_output], []
    )  # fmt: skip


def test_two_projects_whose_modules_have_one_name(
    repo: StateRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is refused where the first is loaded: its run would go on with the crew of the first."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "crew", sys)  # so that it is put back, whatever is loaded
    del sys.modules["crew"]
    code = f"from crewai.project import CrewBase\nfrom {HERE} import build\n@CrewBase\nclass My:\n    def crew(self): return build()\n"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "crew.py").write_text(code)
        repo.run(build(), NOTES, workflow_id=name, source=str(tmp_path / name))
    with StateRepository(repo.url) as other:
        assert other.resume("one").run.executed == []
        with pytest.raises(InputError, match=r"Module 'crew' is that of .*one/crew.py in this process; load .*two/crew.py"):
            other.resume("two")


def test_a_dry_run_only_plans(failed: StateRepository) -> None:
    """It says what would run, calls no model, and records no run."""
    plan = failed.resume("CLM-1", dry_run=True)
    assert isinstance(plan, Plan)
    assert (plan.fresh, [d.task_name for d in plan if not d.fresh]) == (["analyze"], ["draft"])
    assert models[0].calls == []
    assert len(failed.runs()) == 1


def test_a_complete_run_is_served_again(failed: StateRepository) -> None:
    """Nothing is executed, whoever calls it twice."""
    failed.resume("CLM-1")
    assert failed.resume("CLM-1").run.executed == []


def test_what_is_given_goes_before(failed: StateRepository) -> None:
    """One input is replaced, the others are those of the run."""
    result = failed.resume("CLM-1", inputs={"notes": NEW_NOTES["notes"]})
    assert {each.name: each.value for each in result.run.inputs} == NEW_NOTES
    assert result.run.executed == ["analyze", "draft"]


def test_a_secret_has_to_be_given_again(repo: StateRepository, model: PromptModel) -> None:
    """It is named, with the reason; given, the run goes on."""
    crew = crews.sequential_unspecified_context(model)
    repo.run(crew, {**NOTES, "api_key": "hunter2hunter2"})
    with pytest.raises(InputError, match=r"'api_key' \(it is a secret by its name, or holds one\). Give it again"):
        repo.resume()
    assert repo.resume(inputs={"api_key": "hunter2hunter2"}).run.executed == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE text SET body = 'sun' WHERE body = 'hail on 3 May'", r"'notes' \(changed in the state since\)"),
        ("DELETE FROM text WHERE body = 'hail on 3 May'", r"'notes' \(deleted from the state\)"),
        ("UPDATE run_entry SET input_hashes = NULL", r"older version, which did not keep what a run was given"),
    ],
)
def test_an_input_that_the_state_has_no_longer(failed: StateRepository, damage: str, said: str) -> None:
    """It is named, and what is given in its place is taken."""
    with closing(sqlite3.connect(Path(failed.url.removeprefix("sqlite:///")))) as connection, connection:
        connection.execute(damage)
    with pytest.raises(InputError, match=said):
        failed.resume("CLM-1")
    assert failed.resume("CLM-1", inputs=NOTES).run.executed == ["draft"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("tests.no_such_module:crew", r"cannot be loaded here: .*no module 'tests.no_such_module'.*pass crew="),
        (f"{HERE}:no_crew", r"cannot be loaded here: .*has no 'no_crew'"),
        ("no/such/folder", r"cannot be loaded here: .*is no folder, no file"),
    ],
)
def test_a_source_that_leads_nowhere(failed: StateRepository, source: str, said: str) -> None:
    """It is named, with what to do; nothing is run."""
    with closing(sqlite3.connect(Path(failed.url.removeprefix("sqlite:///")))) as connection, connection:
        connection.execute("UPDATE run_entry SET source = ?", (source,))
    with StateRepository(failed.url) as repo, pytest.raises(InputError, match=said):
        repo.resume("CLM-1")
    assert len(failed.runs()) == 1


def test_what_there_is_none_of(repo: StateRepository, failed: StateRepository, tmp_path: Path) -> None:
    """A workflow that the state does not know, and a state without any run."""
    with pytest.raises(InputError, match=r"Workflow 'CLM-2' has no run to go on with. Did you mean 'CLM-1'"):
        repo.resume("CLM-2")
    with StateRepository(tmp_path / "new.db") as new, pytest.raises(InputError, match="No run is recorded yet"):
        new.resume()
    with pytest.raises(InputError, match="source is ''; give a text: package.module:attribute"):
        repo.run(build(), NOTES, source="")


def test_a_batch_tells_where_its_crew_comes_from(repo: StateRepository) -> None:
    """By a name, or a function of a module; a crew object, or a function of a script, has no place."""
    for crew, source in ((f"{HERE}:build", f"{HERE}:build"), (build, f"{HERE}:build"), (build(), None),
                         (lambda: build(), None)):  # fmt: skip
        (result,) = repo.run_for_each(crew, [NOTES], workflow_ids=["CLM-1"])
        assert result.run.source == source


def test_after_a_forced_run_that_failed_it_is_said_what_was_not_forced(failed, caplog) -> None:
    """Nobody has written down what was to be forced; an old answer that is fresh would be reused without a word."""
    failed.resume("CLM-1")
    with StateRepository(failed.url) as gone, pytest.raises(ConnectionError):
        gone.run(build(down=True), NOTES, workflow_id="CLM-1", source=f"{HERE}:build", force=True)
    caplog.clear()
    assert failed.resume("CLM-1").run.reused == ["analyze", "draft"]
    assert "was forced, and stopped before draft" in caplog.text
    caplog.clear()
    failed.resume("CLM-1")
    assert "was forced" not in caplog.text
