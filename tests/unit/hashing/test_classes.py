"""What changes the hash of a class, and what does not."""

from __future__ import annotations

import typing

import pytest
from pydantic import BaseModel, Field, PrivateAttr, SecretStr, create_model

from crew_repo.hashing import hash_class, hash_value
from tests.unit.hashing.conftest import Project

PLAIN = """
import enum
from dataclasses import dataclass, field
from typing import NamedTuple

LIMIT = 3

def clean(x):
    return x[:LIMIT]

class Base:
    def prepare(self, x):
        return clean(x)

class Tool(Base):
    rate = 1

    def run(self, x):
        return self.prepare(x)

    @staticmethod
    def still(x):
        return x

    @property
    def first(self):
        return self.rate

@dataclass
class Data:
    x: int = 1

    def __str__(self):
        return "a"

class Row(NamedTuple):
    x: int = 1

class Kind(enum.Enum):
    A = 1

    def text(self):
        return "a"
"""


def hash_of(project: Project, text: str, name: str = "Tool") -> str:
    """The hash of one class of a module, as a new process would see it."""
    project.write(crewmodule=text)
    hashed = hash_class(getattr(project.load("crewmodule"), name), "class")
    assert hashed.opaque == ()
    return hashed.sha256


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("Tool", "return self.prepare(x)", "return self.prepare(x) + 1"),
        ("Tool", "return clean(x)", "return clean(x) or 1"),
        ("Tool", "LIMIT = 3", "LIMIT = 4"),
        ("Tool", "rate = 1", "rate = 2"),
        ("Tool", "def still(x):\n        return x", "def still(x):\n        return 2"),
        ("Tool", "return self.rate", "return -self.rate"),
        ("Tool", "class Tool(Base)", "class Tool(Base, dict)"),
        ("Data", "x: int = 1\n\n", "x: int = 2\n\n"),
        ("Data", "x: int = 1\n\n", "x: float = 1\n\n"),
        ("Data", 'return "a"', 'return "b"'),
        ("Data", "@dataclass", "@dataclass(order=True)"),
        ("Data", "@dataclass", "@dataclass(eq=False)"),
        ("Data", "x: int = 1\n\n", "x: int = field(default=1, repr=False)\n\n"),
        ("Data", "x: int = 1\n\n", "x: int = field(default=1, compare=False)\n\n"),
        ("Row", "class Row(NamedTuple):\n    x: int = 1", "class Row(NamedTuple):\n    x: int = 2"),
        ("Row", "class Row(NamedTuple):\n    x: int", "class Row(NamedTuple):\n    y: int"),
        ("Kind", "A = 1", "A = 2"),
        ("Kind", "A = 1", "B = 1"),
        ("Kind", 'self):\n        return "a"\n', 'self):\n        return "b"\n'),
    ],
)
def test_what_acts_changes_the_hash(project, name, old, new):
    """An edit of a method, a base, an attribute, a field or a global that a method reads changes the hash."""
    assert hash_of(project, PLAIN, name) != hash_of(project, PLAIN.replace(old, new), name)


def test_what_a_match_statement_goes_by_acts(project):
    """`case Point(x)` looks up the name of the first; of a dataclass it follows from the fields."""
    text = "class Point:\n    __match_args__ = ('x', 'y')\n    x, y = 1, 2\n"
    assert hash_of(project, text, "Point") != hash_of(project, text.replace("'x', 'y'", "'y', 'x'"), "Point")


@pytest.mark.parametrize("name", ["Tool", "Data", "Row", "Kind"])
def test_what_does_not_act_does_not_change_the_hash(project, name):
    """Comments, docstrings and neighbours change nothing."""
    text = PLAIN.replace("    def ", '    # why\n\n    def ').replace("(Base):", '(Base):\n    "A tool."\n')
    assert hash_of(project, PLAIN, name) == hash_of(project, "OTHER = 1\n" + text, name)


def test_installed_classes_are_named():
    """A class that an installed module has is its name."""
    assert hash_class(BaseModel, "a") == hash_class(BaseModel, "b")
    assert hash_class(BaseModel, "a") != hash_class(dict, "a")


MODEL = """
from typing import Generic, Optional, TypeVar
from pydantic import BaseModel, Field, PrivateAttr, computed_field, field_validator

T = TypeVar("T")

class Inner(BaseModel):
    city: str

class Tool(BaseModel):
    age: int = Field(default=1, ge=0)
    inner: Optional[Inner] = None
    _count: int = PrivateAttr(default=1)

    @field_validator("age", mode="before")
    @classmethod
    def check(cls, value):
        return value + 1

    def model_post_init(self, context):
        self._count = 3

class Boxed(BaseModel, Generic[T]):
    content: T

class Box(Boxed[int]):
    pass
"""


@pytest.mark.parametrize(
    "old, new",
    [
        ("value + 1", "value + 2"),
        ('mode="before"', 'mode="after"'),
        ("ge=0", "ge=1"),
        ("default=1, ge", "default=2, ge"),
        ("age: int", "age: float"),
        ("city: str", "city: int"),
        ("PrivateAttr(default=1)", "PrivateAttr(default=2)"),
        ("self._count = 3", "self._count = 4"),
        ("age: int", "extra: str = ''\n    age: int"),
    ],
)
def test_models_act_by_fields_constraints_and_validators(project, old, new):
    """A validator leaves the JSON schema equal; it does not leave the hash equal."""
    assert hash_of(project, MODEL) != hash_of(project, MODEL.replace(old, new))
    assert hash_of(project, MODEL) == hash_of(project, MODEL + "\n")


@pytest.mark.parametrize(
    "name, text",
    [
        ("M", "from pydantic import BaseModel\nclass M(BaseModel):\n    a: int = 1\n    b: int = 2\n"),
        ("D", "from dataclasses import dataclass\n@dataclass\nclass D:\n    a: int = 1\n    b: int = 2\n"),
        ("E", "from enum import Enum\nclass E(Enum):\n    a = 1\n    b = 2\n"),
    ],
)
def test_the_order_of_fields_acts(project, name, text):
    """A schema is put into a prompt in the order of its fields."""
    first, second, rest = text.splitlines(keepends=True)[-2], text.splitlines(keepends=True)[-1], text[:-1]
    swapped = text.replace(first + second, second + first)
    assert hash_of(project, text, name) == hash_of(project, rest, name) != hash_of(project, swapped, name)


def test_generic_models_act_by_their_arguments(project):
    """`Boxed[int]` is not `Boxed[str]`."""
    assert hash_of(project, MODEL, "Box") != hash_of(project, MODEL.replace("Boxed[int]", "Boxed[str]"), "Box")


def test_a_librarys_generic_model_acts_by_its_arguments(project):
    """Pydantic puts `RootModel[list[Item]]` into its own module, if a module of the user's makes it."""
    text = """
    from pydantic import BaseModel, RootModel, field_validator
    class Item(BaseModel):
        city: str
        @field_validator("city")
        @classmethod
        def check(cls, value):
            return value + "1"
    class Items(RootModel[list[Item]]):
        pass
    Listed = RootModel[dict[str, Item]]
    """
    for name in ("Items", "Listed"):
        assert hash_of(project, text, name) == hash_of(project, text + "\n", name)
        assert hash_of(project, text, name) != hash_of(project, text.replace("'1'", "'2'").replace('"1"', '"2"'), name)


def test_classes_without_source_act_by_what_they_declare():
    """Models that are made at run time are told apart by their fields, and `type()` classes by their namespace."""

    def made(**fields: typing.Any) -> str:
        return hash_class(create_model("Made", **fields), "m").sha256

    assert made(a=(int, 1)) == made(a=(int, 1))
    hashes = [made(a=(int, 1)), made(a=(int, 2)), made(a=(str, 1)), made(b=(int, 1)), made(a=(int, Field(1, ge=1)))]
    assert len(set(hashes)) == 5
    assert hash_class(type("A", (), {"x": 1}), "a") != hash_class(type("A", (), {"x": 2}), "a")
    assert hash_class(type("A", (), {"x": 1}), "a") == hash_class(type("A", (), {"x": 1}), "a")


class Search(BaseModel, extra="allow"):
    """A model with everything."""

    query: str = "a"
    limit: int | None = None
    key: SecretStr = SecretStr("a")
    api_key: str = "a"
    _seen: int = PrivateAttr(default=0)


def test_model_instances_act_by_their_values():
    """Fields, extras and private attributes act; secrets do not."""
    base = hash_value(Search(), "t")
    assert base.opaque == ()
    assert base == hash_value(Search(query="a"), "t")
    assert base == hash_value(Search(key=SecretStr("b"), api_key="b"), "t")
    seen = Search()
    seen._seen = 3
    changed = [Search(query="b"), Search(limit=1), Search(extra=1), seen]
    assert len({hash_value(some, "t").sha256 for some in [Search(), *changed]}) == 5


class Tool(BaseModel, arbitrary_types_allowed=True):
    """A tool with a client."""

    client: typing.Any = None


def test_opaque_fields_are_named_by_their_path():
    """The path leads from the root to the part."""
    (opaque,) = hash_value([0, 0, Tool(client=iter([1]))], "tools").opaque
    assert opaque.path == "tools[2].client"
    assert opaque.why.startswith("list_iterator (a builtins.list_iterator): ")


def test_classes_made_by_exec_act_by_what_they_do():
    """They say that they are from `builtins`, which has no such classes; those that it has are named."""

    def made(base: str, name: str, rate: int) -> type:
        namespace: dict[str, type] = {}
        exec(f"class {name}({base}):\n    rate = {rate}\n    def __call__(self, x): return x * {rate}", namespace)
        return namespace[name]

    for base, name in (("object", "Tool"), ("dict", "Tool"), ("object", "dict"), ("object", "zip")):
        hashes = [hash_class(made(base, name, rate), "c").sha256 for rate in (1, 1, 2)]
        assert hashes[0] == hashes[1] != hashes[2]
        assert hash_value(made(base, name, 1)(), "v") != hash_value(made(base, name, 2)(), "v")


def test_monkeypatched_methods_act():
    """A class is hashed as it lives, not as its file tells it."""

    class Patched:
        def run(self):
            return 1

    before = hash_class(Patched, "p")
    Patched.run = lambda self: 2
    assert hash_class(Patched, "p") != before
