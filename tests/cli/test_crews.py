"""Commands about a crew: finding it, its inputs, what would run, and running it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from crew_repo import StateRepository
from tests.cli.conftest import answered, contents, refused
from tests.playing import EXAMPLES

HAS_JSON = find_spec("crewai.project.crew_loader") is not None
CREW = """
import os, subprocess
from tests import crews
from tests.models import PromptModel

calls = []

class Model(PromptModel):
    def answer(self, prompt):
        calls.append(prompt)
        print("the crew prints")
        if os.environ.get("THE_NETWORK_IS_DOWN"):
            raise ConnectionError("no network")
        return super().answer(prompt)

def build():
    return crews.sequential_unspecified_context(Model(model="m"))

def streamed():
    crew = build()
    crew.stream = True
    return crew

crew = build()
number = 3

def broken():
    raise KeyError("a setting")
"""
PROJECT = """
from crewai import Agent, Crew, Task
from crewai.project import CrewBase, agent, crew, task
from tests.models import PromptModel

@CrewBase
class Desk:
    @agent
    def clerk(self) -> Agent:
        return Agent(role="Clerk", goal="be right", backstory="at a desk", llm=PromptModel(model="m"))

    @task
    def look_up(self) -> Task:
        return Task(description="Find {order}", expected_output="a line", agent=self.clerk())

    @crew
    def crew(self) -> Crew:
        return Crew(name="desk", agents=self.agents, tasks=self.tasks)
"""
NOTES = ("-i", "notes=hail", "-i", "adjuster=Ada")


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    """Modules, the path and the environment are afterwards as they were."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    environment, modules = dict(os.environ), set(sys.modules)
    yield
    os.environ.clear()
    os.environ.update(environment)
    for name in {"the_crew", "the_program", "crew", "my_desk", "my_desk.crew"} - modules:
        sys.modules.pop(name, None)


@pytest.fixture
def here(tmp_path, command) -> Path:
    """A folder with a module that has crews."""
    (tmp_path / "the_crew.py").write_text(CREW)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_plan_then_run_then_plan(command):
    """A plan exits with 1 while anything would run, and with 0 when nothing would; it calls no model, writes nothing."""
    first = answered(command("plan", "the_crew:build", *NOTES, "--json"), 1)["plan"]
    assert [(task["task_name"], task["status"]) for task in first["decisions"]] == [
        ("analyze", "missing"), ("draft", "missing")
    ]  # fmt: skip
    assert not Path("crew_state.db").exists()
    assert "crew_state.db is not there yet; the first run makes it" in command("plan", "the_crew:build", *NOTES).stderr
    assert sys.modules["the_crew"].calls == []
    done = answered(command("run", "the_crew:build", *NOTES, "--json"))
    assert done["run"]["executed"] == ["analyze", "draft"]
    assert answered(command("plan", "the_crew:build", *NOTES, "--json"))["plan"]["all_fresh"] is True
    again = answered(command("run", "the_crew:build", *NOTES, "--json"))
    assert (again["run"]["reused"], again["output"]) == (["analyze", "draft"], done["output"])
    assert len(sys.modules["the_crew"].calls) == 2


@pytest.mark.usefixtures("here")
def test_the_answer_alone_is_on_standard_output(command):
    """Whatever a crew prints goes to standard error; the answer can be piped, with --json as one value."""
    done = command("run", "the_crew:build", *NOTES)
    with StateRepository("crew_state.db") as repo:
        assert done.stdout == f"{repo.get_output('draft')}\n"
    assert "the crew prints" in done.stderr
    assert "executed analyze, draft" in done.stderr


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", ["the_crew:build", "the_crew:crew", "the_crew:streamed", "the_crew.py"])
def test_ways_to_name_a_crew(command, name):
    """A crew is named by a function that builds it, or by itself; one that streams is read to its end."""
    if name.endswith(".py"):
        assert "should have one class with @CrewBase, and has: none" in refused(command("plan", name, *NOTES), 2)
    else:
        assert answered(command("run", name, *NOTES, "--json"))["run"]["executed"] == ["analyze", "draft"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name, code, said", [
    (None, 2, "There is no crew in "),
    ("nowhere", 2, "'nowhere' is no folder, no file and no package.module:attribute"),
    ("the_crew:number", 2, "'the_crew:number' gives no crew; name a crew, a function"),
    ("the_crew:bild", 2, "module 'the_crew' has no 'bild'"),
    ("no_such_module:crew", 2, "there is no module 'no_such_module'"),
    ("the_crew:broken", 3, "KeyError: 'a setting' (--debug shows where)"),
])  # fmt: skip
def test_a_crew_that_cannot_be_had(command, name, code, said):
    """It is one line that says what was looked for; what a project raises by itself is trouble."""
    assert said in refused(command("plan", *([] if name is None else [name]), *NOTES), code)


def test_a_module_that_the_crew_imports_is_not_taken_for_that_of_the_crew(command, here):
    """Where it is missing, the name of the crew is right, and the line says what to install."""
    Path("needy.py").write_text("import no_such_library\n")
    said = refused(command("plan", "needy:crew", *NOTES), 2)
    assert said.startswith("'needy:crew': its code imports 'no_such_library', which is neither in ")
    assert said.endswith("nor installed; install it, or put its folder on the PYTHONPATH")


def test_debug_shows_where(command, here):
    """With --debug the traceback stands above the line."""
    done = command("plan", "the_crew:broken", *NOTES, "--debug")
    assert "Traceback" in done.stderr
    assert 'raise KeyError("a setting")' in done.stderr


@pytest.mark.usefixtures("here")
def test_inputs_of_files_and_pairs(command):
    """Inputs come from a JSON file, from pairs, and as the text of a file or of standard input; pairs go first."""
    Path("inputs.json").write_text(json.dumps({"notes": "fire", "adjuster": "Bo"}))
    Path("notes.txt").write_text("hail on 3 May")
    ran = answered(command("run", "the_crew:build", "--inputs", "inputs.json", "-i", "notes=@notes.txt", "--json"))
    assert ran["run"]["executed"] == ["analyze", "draft"]
    same = ("-i", "notes=hail on 3 May", "-i", "adjuster=Bo")
    assert command("plan", "the_crew:build", *same).exit_code == 0
    assert command("plan", "the_crew:build", "-i", "notes=@-", "-i", "adjuster=Bo", input="hail on 3 May").exit_code == 0


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("arguments, said", [
    (["-i", "nots=x", "-i", "adjuster=Bo"], "No text of the crew names the input 'nots'. Did you mean 'notes'?"),
    (["-i", "notes=x"], "The crew needs 'adjuster', which no input gives; add -i adjuster=... or --inputs file.json"),
    ([], "The crew needs 'adjuster', 'notes', which no input gives"),
    (["-i", "notes"], "-i 'notes' has no value; give -i key=value"),
    (["-i", "notes=@missing.txt"], "missing.txt cannot be read: No such file or directory"),
    (["--inputs", "the_crew.py"], "--inputs the_crew.py: this is no JSON"),
    (["--inputs", "nofile"], "nofile cannot be read: No such file or directory; give the path of a text file"),
    (["--inputs", "list.json"], "--inputs list.json: this is no JSON object"),
    (["--force", "drat", *NOTES], "There is no task 'drat'. Did you mean 'draft'?"),
])  # fmt: skip
def test_inputs_that_cannot_be(command, arguments, said):
    """A missing, misspelt or unreadable input is an error of usage, before any model is asked."""
    Path("list.json").write_text("[1]")
    told = refused(command("run", "the_crew:build", *arguments), 2)
    assert told.startswith(said)
    assert not Path("crew_state.db").exists()


@pytest.mark.usefixtures("here")
def test_force_and_selection(command):
    """Tasks are forced and shown by selectors, also along what they read."""
    command("run", "the_crew:build", *NOTES)
    forced = answered(command("plan", "the_crew:build", *NOTES, "--force", "analyze+", "--json"), 1)["plan"]
    assert [task["status"] for task in forced["decisions"]] == ["stale", "stale"]
    one = answered(command("run", "the_crew:build", *NOTES, "--force", "dr*", "--json"))["run"]
    assert (one["executed"], one["reused"]) == (["draft"], ["analyze"])
    rain = ("-i", "notes=rain", "-i", "adjuster=Ada")
    shown = answered(command("plan", "the_crew:build", *rain, "--select", "reason:input:notes", "--json"), 1)["plan"]
    assert [task["task_name"] for task in shown["decisions"]] == ["analyze"]
    assert "  - hail\n" in command("plan", "the_crew:build", *rain, "--full").stdout


@pytest.mark.usefixtures("here")
def test_a_dry_run_is_a_plan(command):
    """`run --dry-run` says what a plan says, exits as it does, and leaves no trace."""
    dry, plan = command("run", "the_crew:build", *NOTES, "--dry-run"), command("plan", "the_crew:build", *NOTES)
    assert (dry.exit_code, dry.stdout) == (plan.exit_code, plan.stdout) == (1, plan.stdout)
    assert not Path("crew_state.db").exists()


def test_a_plan_leaves_a_state_as_it_is(command, here):
    """The folder of the state is byte for byte as it was."""
    (here / "its").mkdir()
    command("run", "the_crew:build", *NOTES, "--db", "its/state.db")
    before = contents(here / "its")
    assert command("plan", "the_crew:build", *NOTES, "--db", "its/state.db").exit_code == 0
    assert contents(here / "its") == before


def test_a_crew_that_fails(command, here, monkeypatch):
    """Its exception is trouble, on one line, with the run that kept what had finished; the same command goes on."""
    monkeypatch.setenv("THE_NETWORK_IS_DOWN", "yes")
    done = command("run", "the_crew:build", *NOTES, "--json")
    error = json.loads(done.stdout)["error"]
    assert done.exit_code == 3
    assert error["message"].startswith("ConnectionError: no network. run ")
    assert "kept what had finished, and the same command goes on from there" in error["message"]
    assert command("status").exit_code == 1


@pytest.mark.usefixtures("here")
def test_workflows(command):
    """A run is recorded under --workflow."""
    command("run", "the_crew:build", *NOTES, "--workflow", "CLM-1")
    assert command("plan", "the_crew:build", *NOTES, "--workflow", "CLM-1").exit_code == 0
    assert command("plan", "the_crew:build", *NOTES).exit_code == 1


@pytest.mark.parametrize("place", ["src/my_desk/crew.py", "crew.py"])
def test_a_crewbase_project(command, tmp_path, place):
    """The class with @CrewBase is found where `crewai create crew` puts it, or beside the pyproject.toml."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "my-desk"\n')
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text(PROJECT)
    done = answered(command("run", "-i", "order=K-2", "--json"))["run"]
    assert (done["workflow_id"], done["executed"]) == ("desk", ["look_up"])
    assert command("plan", tmp_path, "-i", "order=K-2").exit_code == 0
    assert "The crew needs 'order'" in refused(command("plan"), 2)


@pytest.mark.parametrize("configured", [True, False])
def test_a_json_project(command, tmp_path, configured):
    """A crew in JSON is found as `crewai run` finds it, with its default inputs and the `.env` beside it."""
    project = tmp_path / "project"
    shutil.copytree(EXAMPLES / "json_project", project)
    (project / ".env").write_text("OPENAI_API_KEY=none\n")
    if configured:
        (project / "crew.jsonc").rename(project / "desk.jsonc")
        (project / "pyproject.toml").write_text('[tool.crewai]\ntype = "crew"\ndefinition = "desk.jsonc"\n')
    if not HAS_JSON:
        assert "Crews in JSON need CrewAI 1.15 or newer" in refused(command("plan", project), 3)
        return
    plan = answered(command("plan", project, "-i", "customer=Ivo Lind", "--json"), 1)["plan"]
    assert [task["task_name"] for task in plan["decisions"]] == ["look_up", "reply"]
    assert plan["workflow_id"] == "order_desk"
    assert "Did you mean 'customer'?" in refused(command("plan", project, "-i", "custmer=Ivo"), 2)


def test_a_json_file_that_is_no_crew(command, tmp_path):
    """It is named, with what is wrong with it."""
    (tmp_path / "crew.json").write_text('{"agents": 3}')
    code = 2 if HAS_JSON else 3
    assert "crew.json" in refused(command("plan"), code) or not HAS_JSON


PROGRAM = """
from the_crew import build
from tests.crews import NOTES
from crew_repo import StateRepository

def main():
    with StateRepository("other.db") as repo:
        return repo.run(build(), NOTES)

crew = build()
"""


@pytest.mark.parametrize("verb", ["plan", "run"])
@pytest.mark.parametrize("name, last_line", [("the_program:crew", "main()"), ("the_program:main", "")])
def test_a_program_that_runs_its_crew_when_it_is_loaded_is_refused(command, here, verb, name, last_line):
    """A plan would call its models, and a run would pay for its inputs and for those that were typed."""
    (here / "the_program.py").write_text(f"{PROGRAM}\n{last_line}\n")
    said = refused(command(verb, name, *NOTES), 2)
    assert said.startswith(f"'{name}' runs a crew while it is loaded")
    assert 'put that run under if __name__ == "__main__": or name what only builds the crew' in said
    assert not (here / "other.db").exists()
    (here / "the_program.py").write_text(f'{PROGRAM}\nif __name__ == "__main__":\n    main()\n')
    sys.modules.pop("the_program", None)
    assert command("run", "the_program:crew", *NOTES).exit_code == 0
