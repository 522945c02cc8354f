"""Typed outputs come back as they were: the class, its values, and which of its fields were set."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import math
import time
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from crewai import Crew
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.siege


class Score(BaseModel):
    """A number that JSON has no word for."""

    score: float
    others: list[float] = []


class Hidden(BaseModel):
    """A field that no dump shows."""

    text: str
    notes: str = Field(exclude=True)


class Holder(BaseModel):
    """A hidden field further down."""

    replies: list[Hidden]


class Rounded(BaseModel):
    """A dump that says less than the value."""

    price: float

    @field_serializer("price")
    def short(self, value: float) -> float:
        return round(value, 1)


class Prefixed(BaseModel):
    """Reads its own dump as something else."""

    number: str

    @field_validator("number")
    @classmethod
    def with_prefix(cls, value: str) -> str:
        return "CLM-" + value


class Renamed(BaseModel):
    """Names for reading, others for writing."""

    amount: int = Field(validation_alias=AliasChoices("amountIn", "amount_in"), serialization_alias="amountOut")


class Stamped(BaseModel):
    """A private attribute that is another each time."""

    text: str
    _at: float = PrivateAttr(default=0.0)

    def model_post_init(self, context: Any) -> None:
        self._at = time.time()


class Numbered(BaseModel):
    """Fields that the class fills, each time with something else."""

    text: str
    number: str = Field(default_factory=lambda: str(uuid.uuid4()))
    made: datetime.datetime = Field(default_factory=datetime.datetime.now)


class Kind(enum.Enum):
    """A choice."""

    WATER = "water"


class Strict(BaseModel):
    """Takes from JSON what it refuses from Python."""

    model_config = ConfigDict(strict=True)
    when: datetime.date
    kind: Kind
    amount: Decimal


class Either(BaseModel):
    """A date that may be a text."""

    when: datetime.date | str
    amount: int | float | str = 0


class Water(BaseModel):
    """One of two."""

    kind: Literal["water"]
    litres: float


class Tagged(BaseModel):
    """A union told apart by a tag, and a tuple."""

    damage: Annotated[Water, Field(discriminator="kind")] | None = None
    tags: list[str] = []
    pair: tuple[int, str] = (0, "")


class Computed(BaseModel):
    """More in its dump than it reads."""

    model_config = ConfigDict(extra="forbid")
    net: float

    @computed_field  # type: ignore[prop-decorator]
    @property
    def gross(self) -> float:
        return self.net * 1.2


class Reshaped(BaseModel):
    """Another shape outside than inside."""

    city: str

    @model_validator(mode="before")
    @classmethod
    def flatten(cls, values: Any) -> Any:
        return {"city": values["address"]["city"]}

    @model_serializer
    def line(self) -> dict[str, Any]:
        return {"line": self.city}


class Open(BaseModel):
    """Keeps what it does not know."""

    model_config = ConfigDict(extra="allow")
    text: str


class Optional(BaseModel):
    """Not set, and set to the default, are two things."""

    text: str
    note: str | None = None
    inner: Open | None = None



class Trimmed(BaseModel):
    """Reads its own dump as less."""

    code: Annotated[str, BeforeValidator(lambda value: value[1:])]


CASES: list[tuple[type[BaseModel], str]] = [
    (Score, '{"score": NaN}'),
    (Score, '{"score": Infinity, "others": [NaN, -Infinity, 1]}'),
    (Hidden, '{"text": "hello", "notes": "for us only"}'),
    (Holder, '{"replies": [{"text": "hello", "notes": "for us only"}]}'),
    (Rounded, '{"price": 1.234}'),
    (Prefixed, '{"number": "7"}'),
    (Renamed, '{"amount_in": 3}'),
    (Stamped, '{"text": "a"}'),
    (Numbered, '{"text": "a"}'),
    (Strict, '{"when": "2025-01-31", "kind": "water", "amount": "1.50"}'),
    (Either, '{"when": "2025-01-31"}'),
    (Either, '{"when": "tomorrow", "amount": 1.0}'),
    (Tagged, 'Here it is: {"damage": {"kind": "water", "litres": 2}, "tags": ["a", "b", "c"], "pair": [1, "x"]}. Good?'),
    (Tagged, '{"tags": ["a", "b", "c"]}'),
    (Computed, '{"net": 10}'),
    (Reshaped, '{"address": {"city": "Bonn"}}'),
    (Open, '{"text": "a", "more": [1, null]}'),
    (Optional, '{"text": "a"}'),
    (Optional, '{"text": "a", "note": null, "inner": {"text": "b"}}'),
    (Trimmed, '{"code": "xyz"}'),
]


def build(answer: str, **members: Any) -> Crew:
    """One task with a typed output."""
    worker = crews.agent(PromptModel(model="m", script={"<<check>>": answer}))
    return Crew(agents=[worker], tasks=[crews.task("check", "notes", worker, **members)])


def same(one: Any, other: Any) -> bool:
    """Equal, where a number that is none equals its like."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def sets(model: Any) -> Any:
    """Which fields were set, in a model and in those in it."""
    if isinstance(model, BaseModel):
        return model.model_fields_set, [sets(part) for part in vars(model).values()]
    return [sets(part) for part in model] if isinstance(model, list) else None


@pytest.mark.parametrize(("cls", "answer"), CASES)
def test_a_pydantic_output_that_its_class_accepted_once_is_served(repo, cls, answer):
    """It comes back with every value, with hidden fields, and with the fields that were set; private ones aside."""
    first = repo.run(build(answer, output_pydantic=cls))
    again = repo.run(build(answer, output_pydantic=cls))
    assert again.run.reused == ["check"]
    assert type(again.pydantic) is cls
    fields = list(cls.model_fields)
    assert all(same(getattr(again.pydantic, name), getattr(first.pydantic, name)) for name in fields)
    assert again.pydantic.model_extra == first.pydantic.model_extra
    assert sets(again.pydantic) == sets(first.pydantic)


@pytest.mark.parametrize(("cls", "answer"), [case for case in CASES if case[0] is not Numbered])
def test_a_json_output_that_its_class_accepted_once_is_served(repo, cls, answer):
    """Its dict comes back with dates, sets and numbers as they were."""
    first = repo.run(build(answer, output_json=cls))
    again = repo.run(build(answer, output_json=cls))
    assert again.run.reused == ["check"]
    assert same(again.json_dict, first.json_dict)


def test_what_the_class_now_makes_of_the_text_must_be_what_it_made(repo, monkeypatch):
    """A class that takes today's date into what it hides is not asked again tomorrow for yesterday's answer."""
    today = ["2025-01-31"]

    class Dated(BaseModel):
        text: str = Field(validation_alias="said", serialization_alias="text")
        day: str = Field(default_factory=lambda: today[0])

    answer = '{"said": "a"}'
    repo.run(build(answer, output_pydantic=Dated))
    assert repo.run(build(answer, output_pydantic=Dated)).run.reused == ["check"]
    (record,) = repo.history("check")
    assert record.result.reading_json == '"raw"'
    today[0] = "2025-02-01"
    plan = repo.plan(build(answer, output_pydantic=Dated))
    assert plan.stale == ["check"]
    assert repo.run(build(answer, output_pydantic=Dated)).run.executed == ["check"]


def test_a_guardrails_own_output_comes_back(repo):
    """Where the raw text is not what the typed output was made of, the dump is."""

    def guardrail(output: Any):
        output.pydantic = Optional(text="corrected")
        return True, output

    crew = build("prose", output_pydantic=Optional, guardrail=guardrail)
    repo.run(crew)
    again = repo.run(crew)
    assert (again.run.reused, again.pydantic) == (["check"], Optional(text="corrected"))
    assert again.pydantic.model_fields_set == {"text"}


def test_an_output_that_cannot_come_back_is_named_and_paid_again(repo, caplog):
    """Its class reads neither its dump nor the raw text as what it was."""

    class Counted(BaseModel):
        text: str
        at: float = Field(default_factory=time.perf_counter, exclude=True)

    repo.run(build('{"text": "a"}', output_pydantic=Counted))
    assert "comes back from storage as something else" in caplog.text
    assert repo.run(build('{"text": "a"}', output_pydantic=Counted)).run.executed == ["check"]


class Note(BaseModel):
    """A model in a dataclass."""

    text: str = "none"
    by: str | None = None


@dataclasses.dataclass
class Page:
    """No model, and yet pydantic reads it."""

    note: Note
    size: float = 1.0


@pydantic_dataclass
class Leaf:
    """Pydantic's own kind."""

    notes: list[Note]
    hidden: str = Field(default="x", exclude=True)


class Book(BaseModel):
    """Models below dataclasses."""

    pages: list[Page]
    leaf: Leaf | None = None


@pytest.mark.parametrize(
    "answer",
    [
        '{"pages": [{"note": {"text": "a"}}, {"note": {}, "size": NaN}]}',
        '{"pages": [], "leaf": {"notes": [{"by": null}, {}], "hidden": "for us only"}}',
    ],
)
def test_models_in_dataclasses_agree_in_the_fields_that_were_set(repo, answer):
    """A dump says of no field whether it was set, wherever the model stands."""
    first = repo.run(build(answer, output_pydantic=Book))
    again = repo.run(build(answer, output_pydantic=Book))
    assert again.run.reused == ["check"]
    for was, came in zip(notes_of(first.pydantic), notes_of(again.pydantic), strict=True):
        assert (came, came.model_fields_set) == (was, was.model_fields_set)
    assert repr(again.pydantic) == repr(first.pydantic)


def notes_of(book: Book) -> list[Note]:
    return [page.note for page in book.pages] + (book.leaf.notes if book.leaf else [])
