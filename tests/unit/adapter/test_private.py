"""Each private member of CrewAI that is touched: that it is there, and what breaks here when it goes."""

from __future__ import annotations

import os
from pathlib import Path

from crewai import Agent, Crew, Task

from crew_repo.adapter import private
from tests import crews
from tests.models import PromptModel


def built() -> Crew:
    return crews.sequential_unspecified_context(PromptModel(model="m"))


def test_inputs_are_kept_on_the_crew():
    """Without `Crew._inputs` a changed input could no longer be named, and a trigger payload would go unseen."""
    crew = built()
    crew.kickoff({"notes": "n", "adjuster": "a"})
    assert private.crew_inputs(crew) == {"notes": "n", "adjuster": "a"}
    assert "_inputs" in Crew.__private_attributes__


def test_templates_are_kept_beside_the_texts():
    """Without `_original_*` a second plan would find no variables in texts that are interpolated already."""
    crew = built()
    crew.kickoff({"notes": "n", "adjuster": "a"})
    assert private.original_text(crew.tasks[0], "description") == "<<analyze>> {notes}"
    assert crew.tasks[0].description == "<<analyze>> n"
    for cls, names in ((Task, ("description", "expected_output", "output_file")), (Agent, ("role", "goal", "backstory"))):
        assert {f"_original_{name}" for name in names} <= set(cls.__private_attributes__)


def test_the_crews_memory_is_private():
    """Without `Crew._memory`, TaskPolicy(memory="always") would miss a memory that `memory=True` made."""
    assert "_memory" in Crew.__private_attributes__
    assert private.crew_memory(built()) is None


def test_the_planner_can_be_called_late():
    """Without `Crew._handle_crew_planning`, `planning=True` would ask its model although all is fresh."""
    assert callable(Crew._handle_crew_planning)


def test_models_count_through_one_method():
    """Without `_track_token_usage_internal`, async tasks that share a model would share its tokens too."""
    model = PromptModel(model="m")
    tracker = private.usage_tracker(model)
    assert tracker is not None
    tracker({"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3})
    assert model.get_token_usage_summary().total_tokens == 3
    assert private.usage_tracker_name() == tracker.__name__


def test_the_event_threads_are_known_to_be_lost_in_a_forked_child():
    """Without `_loop_thread` and `_shutting_down`, a run in a forked child would hang in CrewAI's kickoff."""
    built().kickoff({"notes": "n", "adjuster": "a"})
    assert not private.events_are_lost()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if private.events_are_lost() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_an_output_file_is_written_as_crewai_writes_it(tmp_path, monkeypatch):
    """Without `Task._save_file`, a missing output file of a reused task could not be restored."""
    monkeypatch.chdir(tmp_path)
    task = crews.task("one", "x", crews.agent(PromptModel(model="m")), output_file="out/one.json")
    private.save_output_file(task, {"a": 1})
    assert Path("out/one.json").read_text() == '{\n  "a": 1\n}'


def test_a_task_is_not_told_what_its_agent_was_asked_before():
    """CrewAI 1.13 keeps an agent's messages from task to task; then what a task is asked hangs on what was executed."""
    model = PromptModel(model="m")
    crew = crews.sequential_unspecified_context(model)
    crew.kickoff({"notes": "n", "adjuster": "a"})
    assert [call.count("Current Task:") for call in model.calls] == [1] * len(model.calls)
    assert len(model.calls) > 1
