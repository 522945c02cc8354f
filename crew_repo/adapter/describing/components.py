"""Collects the components of one task, each with its path. A part that cannot be hashed is named, never left out."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from crew_repo.adapter.describing.field_table import Kind, kind_of
from crew_repo.code import Marks, is_own_class, weakly_cached
from crew_repo.hashing import (
    Hashed,
    attributes_of,
    digest,
    hash_callable,
    hash_class,
    hash_model_class,
    hash_value,
    kept_json,
    kept_number,
    left_out,
    model_state,
    private_text_hash,
    text_hash,
    unescaped,
)
from crew_repo.introspection import code_name
from crew_repo.model import Component, Definition, Opaque, ReadFile
from crew_repo.secrets import is_secret_name, masked
from crew_repo.time_limits import let_through

__all__ = ["Memo", "Parts", "crewais_names", "is_crewais", "is_default", "numbered", "own_names"]

_PACKAGE = "crewai."
_PIECE = 1 << 20  # bytes of a file read at a time
_MISSING = "missing"
_MOST_LINKS = 80  # numbers of a mark; a path leads through few links
_SETTLED_SECONDS = 2.0  # coarser than the time stamps of any file system in use


@dataclass(slots=True)
class Memo:
    """Memory of one run or plan, of all that was hashed: code by its identity, which is kept alive, texts, and files.

    `marks` say what its work may change.

    A text with something `hidden` in it is hashed, and not kept: secrets, as far as they are known. No `repr` has them.
    `described` holds whole tools, agents and crews, each beside the objects whose ids are in its key.
    """

    code: dict[tuple[str | None, int, object], tuple[Any, Hashed]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set, repr=False)
    clients: dict[int, tuple[object, object]] = field(default_factory=dict, repr=False)
    private: set[str] = field(default_factory=set, repr=False)  # secret inputs: what has one in it is hashed privately
    described: dict[tuple[object, ...], tuple[object, Definition]] = field(default_factory=dict, repr=False)
    going_on: dict[int, tuple[object, bool]] = field(default_factory=dict, repr=False)
    marks: Marks | None = field(default=None, repr=False)

    def once(self, key: tuple[object, ...], owner: object, add: Callable[[Parts], None]) -> Definition:
        """The definition that `add` collects, the first time; `owner` holds the objects whose ids are in the key."""
        found = self.described.get(key)
        if found is None:
            parts = Parts(self)
            add(parts)
            found = self.described[key] = (owner, parts.definition())
        return found[1]

    def forget_texts(self) -> None:
        """Describe anew what has texts, which a kickoff puts the inputs into; tools stay as they were described."""
        self.described = {key: found for key, found in self.described.items() if key[0] == "tools"}

    def look_again(self) -> None:
        """Describe all objects anew from here on: code of the user's has run, which may have changed them."""
        self.described.clear()

    def client(self, llm: Any, make: Callable[[Any], object]) -> object:
        """The client of an LLM that has to be made to be looked at, once for each."""
        if id(llm) not in self.clients:
            self.clients[id(llm)] = (llm, make(llm))
        return self.clients[id(llm)][1]

    def goes_on(self, llm: object, look: Callable[[], bool]) -> bool:
        """Whether a model goes on from what its calls have left in it: its code says so, once for each."""
        if id(llm) not in self.going_on:
            self.going_on[id(llm)] = (llm, look())
        return self.going_on[id(llm)][1]

    def file(self, file: Path) -> tuple[str, tuple[int, ...]]:
        """The SHA-256 of a file's content, and its mark. Raises OSError for what is missing, or no regular file.

        It is read again if it may have changed since. As git does, a file that was written just now is not trusted to
        get another mark with its next change.
        """
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
            raise OSError(errno.EINVAL, "it is no regular file")
        mark = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, *_links_to(file))
        known = self.files.get(str(file))
        if known is not None and known[0] == mark:
            return known[1], mark
        settled = time.time() - max(found.st_mtime, found.st_ctime) > _SETTLED_SECONDS
        with file.open("rb") as content:
            sha256 = hashlib.sha256()
            while piece := content.read(_PIECE):
                sha256.update(piece)
        if settled:
            self.files[str(file)] = (mark, sha256.hexdigest())
        return sha256.hexdigest(), mark

    def look(self, file: Path) -> tuple[str, tuple[int, ...]]:
        """Read a file that may be missing, as `file` does. Raises OSError for one that is there and cannot be read."""
        try:
            return self.file(file)
        except FileNotFoundError:
            return _MISSING, ()


class Collector:
    """A definition in the making: components by their paths, of which none is lost."""

    def __init__(self, memo: Memo | None = None) -> None:
        self.memo = memo or Memo()
        self._components: dict[str, Component] = {}
        self._opaque: dict[str, Opaque] = {}
        self._files: dict[ReadFile, None] = {}

    def definition(self) -> Definition:
        """Give all that was collected."""
        return Definition(tuple(self._components.values()), tuple(self._opaque.values()), tuple(self._files))

    def storable(self) -> Definition:
        """Give all that was collected, without the texts that have something hidden in them."""
        hidden = tuple(self.memo.hidden)
        for path, component in self._components.items():
            text = component.text
            if text is not None and (masked(text) != text or _speaks(text, hidden)):
                self._components[path] = replace(component, text=None)
        return self.definition()

    def extend(self, other: Definition, *, skip: Callable[[str], bool] | None = None) -> None:
        """Take over everything of another definition, but for the components whose paths are to be skipped."""
        for component in other.components:
            if skip is None or not skip(component.path):
                self._add(component)
        self._opaque.update((opaque.path, opaque) for opaque in other.opaque)
        self._files.update(dict.fromkeys(other.files))

    def hash(
        self, path: str, sha256: str, *, acts: bool = True, text: str | None = None, code: str | None = None
    ) -> None:
        """A part whose hash is known."""
        self._add(Component(path, sha256, acts, text, code))

    def _add(self, component: Component) -> None:
        """Two parts of one name are both kept, the second as `name#2`: none may hide the other."""
        number, taken = 1, self._components.get(component.path)
        while taken is not None and taken.sha256 != component.sha256:
            number += 1
            taken = self._components.get(f"{component.path}#{number}")
        path = component.path if number == 1 else f"{component.path}#{number}"
        if taken is None or component.acts:
            self._components[path] = component if number == 1 else replace(component, path=path)

    def text(self, path: str, text: str, *, acts: bool = True, keep: bool = True) -> None:
        """A text; `keep` says whether it may be stored, so that a diff can show it."""
        sha256 = self.memo.texts.get(text)
        if sha256 is None:
            sha256 = self.memo.texts[text] = self._hash_of(text)
        self.hash(path, sha256, acts=acts, text=text if keep else None)

    def _hash_of(self, text: str) -> str:
        """A text's hash; with a secret in it, a private one, whose salt is the text without its secrets."""
        rest = text
        for secret in sorted(self.memo.private, key=len, reverse=True):
            rest = rest.replace(secret, "[secret]")
        rest = masked(rest)
        return text_hash(text) if rest == text else private_text_hash(text, rest)

    def hashed(self, path: str, hashed: Hashed, *, text: str | None = None, code: str | None = None) -> None:
        """A part with what of it could not be hashed."""
        self.hash(path, hashed.sha256, text=text, code=code)
        for opaque in hashed.opaque:
            self._opaque[opaque.path] = opaque
            if opaque.files:  # to say where they were; the address of a server is not stored
                self.text(f"place:{opaque.path}", ", ".join(opaque.files), acts=False)
        for name, sha256 in hashed.environment:
            self.hash(f"environment:{name}", sha256)
        for name, sha256 in hashed.globals:
            self.hash(f"global:{name}", sha256, acts=False)

    def opaque(self, path: str, why: str) -> None:
        """A part that cannot be hashed."""
        self._opaque[path] = Opaque(path, why)


class Parts(Collector):
    """Adds values of each kind to a definition, hashed as the kind is."""

    def json(self, path: str, value: Any, *, keep: bool = False) -> None:
        """Plain JSON data that this package made itself; `keep` says whether it may be stored, as in `text`."""
        self.hash(path, digest("json", value), text=kept_json(path, value) if keep else None)

    def value(self, path: str, value: object, *, keep: bool = False) -> None:
        """Any value of the user's; `keep` where CrewAI gives it its name, else only a number may be stored."""
        text = kept_json(path, value, words=True) if keep else kept_number(path, value)
        self.hashed(path, hash_value(value, path), text=text)

    def member(self, path: str, value: object, holder: object = None, *, printed: bool = False) -> None:
        """A value that the code of an object, `holder`, has, and may go through in its order; `printed` as in `own`."""
        found = hash_value(value, path, ordered=True, holder=holder, printed=printed)
        self.hashed(path, found, text=kept_number(path, value))

    def own(self, path: str, owner: object, names: Iterable[str], *, printed: bool = False) -> None:
        """Add what an object of the user's class holds under these names, but for secrets, under `path`.

        What its work changes counts as it was given. Under a secret's name only the user's class counts. `printed`: it
        is put into a prompt as it is, so that paths count to the letter.
        """
        values, wanted = model_state(owner), set(names)
        secret = {name for name in wanted & values.keys() if left_out(name, values[name])}
        own = {name: value for name, value in values.items() if name in wanted - secret}
        for name in sorted(secret):
            self.signer(f"{path}.{name.lstrip('_')}", values[name])
        for name, value in sorted(attributes_of(owner, own, model_state, path), key=itemgetter(0)):
            if name in own:
                self.member(f"{path}.{name.lstrip('_')}", value, owner, printed=printed)

    def signer(self, path: str, value: object) -> None:
        """The class of an object under a secret's name, where it is the user's: what it does acts."""
        if is_own_class(type(value)):
            self.cls(path, type(value))

    def callable(self, path: str, function: Callable[..., Any]) -> None:
        """A function, by what it does."""
        self._remembered(path, function, hash_callable)

    def cls(self, path: str, cls: type) -> None:
        """A class, by what it does; CrewAI's own are named."""
        self._remembered(path, cls, hash_class)

    def _remembered(self, path: str, code: Any, hasher: Callable[[Any, str], Hashed]) -> None:
        """Code is hashed once per run or plan: within one, nobody changes what it refers to.

        Where all of it could be hashed, that holds wherever it stands; else what is opaque is named by where it is.
        """
        anywhere, here = (None, id(code), hasher), (path, id(code), hasher)
        found = self.memo.code.get(anywhere) or self.memo.code.get(here)
        if found is None:
            found = (code, hasher(code, path))
            self.memo.code[here if found[1].opaque else anywhere] = found
        self.hashed(path, found[1], code=code_name(code))

    def model_class(self, path: str, cls: type) -> None:
        """The class of a language model."""
        self._remembered(path, cls, hash_model_class)

    def schema(self, path: str, model: type[BaseModel]) -> None:
        """A pydantic class: its JSON schema, and its source, since a validator leaves the schema equal."""
        try:
            self.json(f"{path}.schema", model.model_json_schema(), keep=True)
        except Exception as error:  # noqa: BLE001 - pydantic raises many kinds for types without a schema
            let_through(error)
            self.hashed(f"{path}.fields", hash_value(sorted(model.model_fields), path))
            self.json(f"{path}.schema", {"no schema": type(error).__name__})
        self.cls(f"{path}.source", model)

    def file(self, path: str, file: Path, *, text: str | None = None) -> None:
        """The content of a file, or the text that will be in it; a missing one is an ingredient as well."""
        if text is not None:
            written = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
            return self.hash(path, digest("file", written))
        try:
            found = self.was_read(path, file)
        except OSError as error:
            return self.opaque(path, f"{file} cannot be read: {error.strerror}")
        return self.hash(path, digest("file", found))

    def was_read(self, path: str, file: Path) -> str:
        """Note that a component was made of this file, and give what is in it. Raises OSError if it cannot be read."""
        found, mark = self.memo.look(file)
        self._files[ReadFile(path, os.path.abspath(file), found, mark)] = None  # noqa: PTH100 - links stay
        return found

    def fields(self, prefix: str, item: BaseModel, table: Mapping[str, Kind], *, skip: Iterable[str] = ()) -> None:
        """The TEXT and VALUE fields of one of CrewAI's objects, where they differ from their defaults."""
        skipped, values = set(skip), item.__dict__
        for name, kind, default in _acting_fields(type(item), table):
            value = values.get(name)
            if name in skipped or (value is None and kind is Kind.TEXT):
                continue
            if kind is Kind.TEXT:
                self.text(f"{prefix}.{name}", str(value))
            elif not is_default(value, default()):
                self.value(f"{prefix}.{name}", value, keep=True)


def _speaks(text: str, secrets: Iterable[str]) -> bool:
    """Whether a text, or what it is the JSON of, has one of these in it."""
    read = unescaped(text)
    return any(secret in text or secret in read for secret in secrets)


def _links_to(file: Path) -> list[int]:
    """The marks of the links that a path leads through: one may be turned to another file, and back."""
    pending, marks = [os.path.abspath(file)], list[int]()  # noqa: PTH100 - links stay
    while pending and len(marks) < _MOST_LINKS:
        path = pending.pop()
        if os.path.islink(path):  # noqa: PTH114
            found = os.lstat(path)
            marks += [found.st_ino, found.st_ctime_ns]
            pending.append(os.path.join(os.path.dirname(path), os.readlink(path)))  # noqa: PTH115, PTH118, PTH120
        above = os.path.dirname(path)  # noqa: PTH120
        pending += [above] if above != path else []
    return marks


_acting: WeakKeyDictionary[type, list[tuple[str, Kind, Callable[[], object]]]] = WeakKeyDictionary()


def _acting_fields(cls: type[BaseModel], table: Mapping[str, Kind]) -> list[tuple[str, Kind, Callable[[], object]]]:
    """The TEXT and VALUE fields of a class that are no secrets, with their defaults. Each class has one table."""
    found = _acting.get(cls)
    if found is None:
        kinds = [(name, kind_of(table, name), field) for name, field in cls.model_fields.items()]
        found = _acting[cls] = [
            (name, kind, _default_of(field))
            for name, kind, field in kinds
            if kind in (Kind.TEXT, Kind.VALUE) and not is_secret_name(name)
        ]
    return found


def _default_of(field: FieldInfo) -> Callable[[], object]:
    """A default that a factory makes is made anew each time."""
    return partial(field.get_default, call_default_factory=True, validated_data={})


def is_default(value: object, default: object) -> bool:
    """Whether a value says the same as the default: None, () and {} all say nothing, which False and 0 do not."""
    if not value and not default and value != 0:
        return True
    return type(value) is type(default) and bool(value == default)


def numbered(names: Iterable[str]) -> list[str]:
    """Names that tell things apart: the second of a name is `name#2`, and what looks like a key is masked."""
    counted: Counter[str] = Counter()
    told = []
    for name in map(masked, names):
        counted[name] += 1
        told.append(name if counted[name] == 1 else f"{name}#{counted[name]}")
    return told


def is_crewais(cls: type) -> bool:
    """Whether CrewAI itself defines this class."""
    return (cls.__module__ + ".").startswith(_PACKAGE)


@weakly_cached
def crewais_names(cls: type) -> frozenset[str]:
    """The fields and private attributes that CrewAI's classes among the bases of a class declare."""
    bases = (base for base in cls.__mro__ if is_crewais(base) and issubclass(base, BaseModel))
    return frozenset(name for base in bases for name in (*base.model_fields, *base.__private_attributes__))


def own_names(item: BaseModel, base: type[BaseModel]) -> frozenset[str]:
    """The fields and private attributes that the user's subclass of a crew, an agent or a task adds."""
    return _added(type(item), base)


@weakly_cached
def _added(cls: type[BaseModel], base: type[BaseModel]) -> frozenset[str]:
    declared = {*cls.model_fields, *cls.__private_attributes__}
    return frozenset(declared - {*base.model_fields, *base.__private_attributes__})
