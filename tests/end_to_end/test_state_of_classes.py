"""Classes that CrewAI makes objects of: what their validators leave in memory is work, what they only read acts."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from crewai import Crew
from crewai.tools import BaseTool, tool

from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.siege

HEAD = """
import dataclasses
from typing import Annotated, ClassVar, Generic, Optional, TypeVar
from pydantic import *
from pydantic.functional_validators import *
from typing_extensions import TypeAliasType, TypedDict

N, SEEN, RATE, CLIENT = [0], set(), 2, None

def note(value, *_):
    global CLIENT
    N[0] += RATE - 1
    SEEN.add(str(value))
    CLIENT = CLIENT or {"connected": 1}
    return value
"""
# Each a class `Out` with the field `a`, made of `{"a": 1}`, that notes what it sees.
CLASSES = {
    "field validator": """
        class Out(BaseModel):
            a: int
            @field_validator("a")
            @classmethod
            def check(cls, value):
                SEEN.add(value)
                N[0] += RATE - 1
                return value
        """,
    "class variables": """
        class Out(BaseModel):
            count: ClassVar[int] = 0
            seen: ClassVar[set] = set()
            kept: ClassVar[dict] = {}
            a: int
            @field_validator("a", mode="before")
            @classmethod
            def check(cls, value):
                cls.count += RATE
                cls.seen.add(value)
                Out.kept[cls.count] = note(value)
                return value
        """,
    "class variable of a base": """
        class Counting(BaseModel):
            count: ClassVar[int] = 0
            @model_validator(mode="before")
            @classmethod
            def check(cls, values):
                cls.count += RATE
                return note(values)
        class Out(Counting):
            a: int
        """,
    "class variables of an object": """
        class Out(BaseModel):
            count: ClassVar[int] = 0
            seen: ClassVar[set] = set()
            order: ClassVar[dict] = {}
            client: ClassVar[Optional[dict]] = None
            a: int
            def model_post_init(self, context):
                Out.count += RATE
                type(self).seen.add(note(self.a))
                self.order[self.a] = 1
                type(self).client = type(self).client or {"connected": 1}
        """,
    "counted by an object": """
        class Out(BaseModel):
            count: ClassVar[int] = 0
            a: int
            @model_validator(mode="after")
            def check(self):
                type(self).count += 1
                return note(self)
        """,
    "validator before": """
        class Out(BaseModel):
            a: int
            @model_validator(mode="before")
            @classmethod
            def check(cls, values):
                return note(values)
        """,
    "validator after": """
        class Out(BaseModel):
            a: int
            _order: int = PrivateAttr(0)
            @model_validator(mode="after")
            def check(self):
                self._order = note(self.a)
                return self
        """,
    "validator around": """
        class Out(BaseModel):
            a: int
            @model_validator(mode="wrap")
            @classmethod
            def check(cls, values, handler):
                return note(handler(values))
        """,
    "function around": """
        class Out(BaseModel):
            a: int
            _note = field_validator("a")(note)
        """,
    "post init": """
        class Out(BaseModel):
            a: int
            def model_post_init(self, context):
                note(self.a)
        """,
    "init": """
        class Out(BaseModel):
            a: int
            def __init__(self, **values):
                super().__init__(**values)
                note(self.a)
        """,
    "annotated": """
        class Out(BaseModel):
            a: Annotated[int, AfterValidator(note)]
        """,
    "annotated inside": """
        class Out(BaseModel):
            a: Optional[Annotated[int, BeforeValidator(note)]]
            b: list[Annotated[int, PlainValidator(note)]] = []
        """,
    "alias": """
        Seen = TypeAliasType("Seen", Annotated[int, AfterValidator(note)])
        class Out(BaseModel):
            a: Seen
        """,
    "default factory": """
        class Out(BaseModel):
            a: int
            b: int = Field(default_factory=lambda: note(1))
        """,
    "computed field": """
        class Out(BaseModel):
            a: int
            @computed_field
            def b(self) -> int:
                return note(self.a)
        """,
    "field serializer": """
        class Out(BaseModel):
            a: int
            @field_serializer("a")
            def dump(self, value):
                return note(value)
        """,
    "model serializer": """
        class Out(BaseModel):
            a: int
            @model_serializer(mode="wrap")
            def dump(self, handler):
                return note(handler(self))
        """,
    "annotated serializer": """
        class Out(BaseModel):
            a: Annotated[int, PlainSerializer(note)]
        """,
    "member": """
        class Inner(BaseModel):
            b: int = Field(1, validate_default=True)
            @field_validator("b")
            def check(cls, value):
                return note(value)
        class Out(BaseModel):
            a: int
            inner: Optional[list[Inner]] = Field(validate_default=True, default=[{}])
        """,
    "dataclass member": """
        @dataclasses.dataclass
        class Inner:
            b: int = 1
            def __post_init__(self):
                note(self.b)
        class Out(BaseModel):
            a: int
            inner: Inner = Field(validate_default=True, default={})
        """,
    "dict member": """
        class Inner(TypedDict):
            b: Annotated[int, AfterValidator(note)]
        class Out(BaseModel):
            a: int
            inner: Inner = Field(validate_default=True, default={"b": 1})
        """,
    "type of its own": """
        class Even(int):
            @classmethod
            def __get_pydantic_core_schema__(cls, source, handler):
                from pydantic_core import core_schema
                return core_schema.no_info_after_validator_function(cls.check, core_schema.int_schema())
            @classmethod
            def check(cls, value):
                return note(value)
        class Out(BaseModel):
            a: Even
        """,
    "generic": """
        T = TypeVar("T")
        class Box(BaseModel, Generic[T]):
            a: T
        class Inner(RootModel[int]):
            @model_validator(mode="after")
            def check(self):
                return note(self)
        Out = Box[Inner]
        """,
}


class Project:
    """A module of the user's with a class `Out`, in a folder of its own; `load` imports it as the next process does."""

    def __init__(self, folder: Path, text: str) -> None:
        self.file = folder / "answerclasses.py"
        self.file.write_text(HEAD + textwrap.dedent(text))

    def load(self) -> ModuleType:
        sys.modules.pop("answerclasses", None)
        importlib.invalidate_caches()
        return importlib.import_module("answerclasses")

    def edit(self, old: str, new: str) -> ModuleType:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))
        return self.load()


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Project]]:
    """Write such a module."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield lambda text: Project(tmp_path, text)
    sys.modules.pop("answerclasses", None)


def crew_of(model: PromptModel, tools: Any = (), **members: Any) -> Crew:
    worker = crews.agent(model, tools=list(tools))
    return Crew(agents=[worker], tasks=[crews.task("check", "is it covered?", worker, **members)])


def answering(**members: Any) -> PromptModel:
    return PromptModel(model="m", script={"<<check>>": '{"a": 1}'}, **members)


def calling() -> PromptModel:
    script = dict.fromkeys(("Observation: it is", "Observation: {"), "Thought: I know.\nFinal Answer: ok")
    return PromptModel(model="m", script={**script, "<<check>>": 'Thought: I look.\nAction: lookup\nAction Input: {"a": 1}'})


def with_args_of_function(out: Any) -> Crew:
    def look(a: Any) -> str:
        return "it is"

    look.__doc__ = "Looks up."
    made = tool("lookup")(look)
    made.args_schema = out
    return crew_of(calling(), [made])


class TypedModel(PromptModel):
    """Answers in the form that is asked for."""

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        super().call(messages)
        return kwargs["response_model"].model_validate_json('{"a": 1}')


class Lookup(BaseTool):
    """A tool whose arguments, and whose result, are of the class that it is given."""

    name: str = "lookup"
    description: str = "Looks up."

    def _run(self, a: Any) -> Any:
        return "it is"


def with_args(out: Any) -> Crew:
    return crew_of(calling(), [Lookup(args_schema=out)])


def with_result(out: Any) -> Crew:
    def look(a: int) -> Any:
        return out(a=a)

    look.__doc__ = "Looks up."
    return crew_of(calling(), [tool("lookup", result_schema=out)(look)])


PLACES: dict[str, Callable[[Any], Crew]] = {
    "output_pydantic": lambda out: crew_of(answering(), output_pydantic=out),
    "output_json": lambda out: crew_of(answering(), output_json=out),
    "response_model": lambda out: crew_of(TypedModel(model="m"), response_model=out),
    "args_schema": with_args,
    "args_schema of a function": with_args_of_function,
    "result_schema": with_result,
}


def check_both_ways(repo: Any, project: Project, crew: Callable[[Any], Crew]) -> None:
    """What a run leaves in memory costs nothing, now and in the next process; what somebody sets is paid for."""
    module = project.load()
    assert repo.run(crew(module.Out)).run.executed == ["check"]
    assert module.N[0] or module.SEEN
    for _ in range(2):
        assert repo.plan(crew(module.Out)).all_fresh
        assert repo.run(crew(module.Out)).run.executed == []
    next_process = project.load()
    assert repo.plan(crew(next_process.Out)).all_fresh
    assert repo.run(crew(next_process.Out)).run.executed == []
    next_process.RATE = 3
    assert not repo.plan(crew(next_process.Out)).all_fresh
    assert not repo.plan(crew(project.edit("RATE, CLIENT = [0], set(), 2", "RATE, CLIENT = [0], set(), 3").Out)).all_fresh
    assert not repo.plan(crew(project.edit("CLIENT = [0], set(), 3", "CLIENT = [7], set(), 2").Out)).all_fresh
    assert repo.plan(crew(project.edit("CLIENT = [7]", "CLIENT = [0]").Out)).all_fresh


@pytest.mark.parametrize("kind", CLASSES)
def test_what_an_output_class_leaves_in_memory_costs_nothing(repo, written, kind: str):
    """However its code is attached: counters, sets, clients and class variables are work, constants act."""
    check_both_ways(repo, written(CLASSES[kind]), PLACES["output_pydantic"])


@pytest.mark.parametrize("place", PLACES)
def test_what_a_class_leaves_in_memory_costs_nothing_wherever_it_stands(repo, written, place: str):
    """Outputs, arguments and results of tools, forms of answers: CrewAI makes objects of all of them."""
    check_both_ways(repo, written(CLASSES["class variables"]), PLACES[place])


HANDING = HEAD + """
class Out(BaseModel):
    a: int
    @field_validator("a")
    @classmethod
    def check(cls, value):
        SEEN.add(note(value))
        return value

def read(output):
    return True, f"{output.raw} of {sorted(map(str, SEEN))}"
"""


@pytest.mark.parametrize("reading", [True, False])
def test_a_class_hands_on_what_its_validators_leave(repo, written, reading: bool):
    """Who reads it is executed with the task that has the class; another task with the class is not."""
    module = written(HANDING.removeprefix(HEAD)).load()

    def crew(text: str) -> Crew:
        model = PromptModel(model="m", script={"<<one>>": '{"a": 1}', "<<two>>": '{"a": 2}'})
        worker = crews.agent(model)
        member: dict[str, Any] = {"guardrail": module.read} if reading else {"output_json": module.Out}
        tasks = [crews.task("one", text, worker, output_pydantic=module.Out)]
        return Crew(agents=[worker], tasks=[*tasks, crews.task("two", "go", worker, context=[], **member)])

    assert repo.run(crew("go")).run.executed == ["one", "two"]
    assert repo.run(crew("go")).run.executed == []
    assert repo.run(crew("go on")).run.executed == (["one", "two"] if reading else ["one"])


def test_a_persons_answer_that_the_class_reads_is_served(repo, written):
    """What the class leaves in memory as it reads the answer is no change, now and in the next process."""
    project = written(CLASSES["class variables"])
    module = project.load()
    crew = PLACES["output_pydantic"]
    repo.mark_complete("check", {"a": 2}, crew=crew(module.Out), by="me", reason="known")
    assert repo.run(crew(module.Out)).run.executed == []
    assert repo.plan(crew(project.load().Out)).all_fresh
