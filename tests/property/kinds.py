"""Changes that no field of CrewAI's shows: code in clients, servers, files, handles, state and what work leaves.

Each is a row, as in `mutations`, and is judged by a run of its own: what its models are sent, and what comes out.
"""

from __future__ import annotations

import functools
import heapq
import importlib.util
import json
import random
import re
import sqlite3
import ssl
import struct
import sys
import threading
import urllib.request
from collections.abc import Callable
from os import environ, utime
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy
import openai
from crewai.llms.hooks.base import BaseInterceptor
from crewai.mcp import MCPServerHTTP, MCPServerStdio
from crewai.tools import BaseTool, tool
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, field_serializer, model_validator
from sqlalchemy import create_engine

from crew_repo import TaskPolicy
from tests.clients import Auth, mounted, session
from tests.property.mutations import SCENARIOS, Recipe, mutate
from tests.property.recording import RecordingModel

Change = Callable[[Recipe], None]
TARGET = "<<target>>"


def row(owner: str, name: str, function: Change, component: str | None = None, **members: Any) -> None:
    """One change that is judged by a run, on the target's requests."""
    mutate(owner, name, function, component, runs=True, **{"about": TARGET, **members})


def nothing(recipe: Recipe) -> None:
    """Build the crew anew."""


def both(*changes: Change) -> Change:
    """One change after the other."""

    def change(recipe: Recipe) -> None:
        for one in changes:
            one(recipe)

    return change


def tool_of(make: Callable[[Recipe], Any]) -> Change:
    """Give the target's agent a tool that is made of the recipe."""
    return lambda recipe: setattr(recipe, "tool", make(recipe))


# Planning: the planner is an upstream, and its words for a task are part of what that is sent.


def planner(model: str) -> Change:
    """Plan by this model: only the thorough one has a word for the target."""
    return lambda recipe: recipe.crew.update(planning=True, planning_llm=RecordingModel(model=model))


def no_planner(recipe: Recipe) -> None:
    recipe.crew.update(planning=False)


SCENARIOS.update({"planned tersely": planner("terse"), "planned thoroughly": planner("thorough")})
row("planning", "on, without a word for the target", planner("terse"))
row("planning", "on", planner("thorough"), "task.plan")
row("planning", "unchanged", nothing, scenario="planned tersely")
row("planning", "off", no_planner, scenario="planned tersely")
row("planning", "planning_llm that plans the same", planner("other"), scenario="planned tersely")
row("planning", "planning_llm that plans otherwise", planner("thorough"), "task.plan", scenario="planned tersely")
row("planning", "unchanged", nothing, scenario="planned thoroughly")
row("planning", "off", no_planner, "task.plan", scenario="planned thoroughly")
row("planning", "planning_llm that plans otherwise", planner("other"), "task.plan", scenario="planned thoroughly")
row("planning", "what the planner reads", lambda recipe: recipe.colleague.update(role="Intern"), scenario="planned thoroughly")


# The user's code in the client of a tool.


class HttpxAuth(httpx.Auth):
    def __init__(self, note: str, token: str = "one") -> None:
        self.note, self.token = note, token

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers.update({"x-note": self.note, "x-signature": self.token})
        yield request


class Transport(httpx.HTTPTransport):
    def __init__(self, note: str) -> None:
        super().__init__()
        self.note = note

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["x-note"] = self.note
        return super().handle_request(request)


class Opening(urllib.request.BaseHandler):
    def __init__(self, note: str) -> None:
        self.note = note

    def http_request(self, request: Any) -> Any:
        request.add_header("x-note", self.note)
        return request


def answering(note: str) -> Any:
    """A hook that changes the answer."""

    def hook(response: Any, *args: Any, **options: Any) -> None:
        response._content = f"{note}: {response.text}".encode()

    return hook


def noting(note: str) -> Any:
    """A hook that changes the request."""

    def hook(request: Any) -> None:
        request.headers["x-note"] = note

    return hook


def opener(note: str) -> urllib.request.OpenerDirector:
    """An opener with a header for every request."""
    made = urllib.request.build_opener()
    made.addheaders = [("x-note", note)]
    return made


class Asking(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    client: Any = None
    address: str = ""

    def _run(self, policy: str) -> str:
        if hasattr(self.client, "get"):
            return f"found: {self.client.get(f'{self.address}/policy').text}"
        return f"found: {self.client.open(f'{self.address}/policy').read().decode()}"


def asks(client: Callable[[], Any]) -> Change:
    """Give the target a tool with this client."""
    return tool_of(lambda recipe: Asking(client=client(), address=recipe.base_url))


CLIENTS: dict[str, Callable[[str], Any]] = {
    "adapter": mounted,
    "auth": lambda note: session(auth=Auth(note)),
    "hook": lambda note: session(hooks={"response": [answering(note)]}),
    "header": lambda note: session(headers={"X-Note": note}),
    "query": lambda note: session(params={"note": note}),
    "httpx auth": lambda note: httpx.Client(auth=HttpxAuth(note)),
    "httpx event hook": lambda note: httpx.Client(event_hooks={"request": [noting(note)]}),
    "httpx transport": lambda note: httpx.Client(transport=Transport(note)),
    "httpx mount": lambda note: httpx.Client(mounts={"http://": Transport(note)}),
    "httpx header": lambda note: httpx.Client(headers={"X-Note": note}),
    "httpx query": lambda note: httpx.Client(params={"note": note}),
    "urllib handler": lambda note: urllib.request.build_opener(Opening(note)),
    "urllib header": opener,
}
for kind, make in CLIENTS.items():
    SCENARIOS[f"client with {kind}"] = asks(functools.partial(make, "a"))
    row("client", kind, asks(functools.partial(make, "b")), "tool:lookup.client", scenario=f"client with {kind}")
    row("client", kind, nothing, scenario=f"client with {kind}", note="made anew")
    row("client", kind, nothing, scenario=f"client with {kind}", note="used", again=True)
SECRETIVE: dict[str, Callable[[str], Any]] = {
    "auth": lambda token: session(auth=Auth("a", token)),
    "httpx auth": lambda token: httpx.Client(auth=HttpxAuth("a", token)),
    "header": lambda token: session(headers={"X-Api-Key": token}),
    "httpx header": lambda token: httpx.Client(headers={"Authorization": f"Bearer {token}"}),
}
for kind, make in SECRETIVE.items():
    SCENARIOS[f"client with secret {kind}"] = asks(functools.partial(make, "one"))
    row("client", f"{kind}, rotated", asks(functools.partial(make, "two")), scenario=f"client with secret {kind}")


class InThread(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    thread: Any = None
    said: Any = None

    def _run(self, policy: str) -> str:
        self.thread.start()
        self.thread.join()
        return f"found: {self.said[-1]}"


def in_thread(note: str) -> Change:
    """A tool whose work is the target of a thread."""

    def make(_: Recipe) -> InThread:
        said: list[str] = []
        return InThread(said=said, thread=threading.Thread(target=lambda: said.append(note)))

    return tool_of(make)


SCENARIOS["thread"] = in_thread("a")
row("client", "thread target", in_thread("b"), "tool:lookup.thread", scenario="thread")
row("client", "thread target", nothing, scenario="thread", note="made anew")

# The user's code, headers and queries in the client of a model, and its endpoint.


class Interceptor(BaseInterceptor[Any, Any]):
    """Adds a note to what is sent, and signs it."""

    def __init__(self, note: str, token: str = "one") -> None:
        self.note, self.token, self.sent = note, token, 0

    def on_outbound(self, message: Any) -> Any:
        self.sent += 1
        message.headers.update({"x-note": self.note, "x-signature": self.token})
        return message

    def on_inbound(self, message: Any) -> Any:
        return message


def of_openai(**members: Any) -> Change:
    """CrewAI's own client of OpenAI, with these members; functions without arguments make them."""
    return lambda recipe: recipe.llm.update(
        {"model": "gpt-4o", **{name: value() if callable(value) else value for name, value in members.items()}}
    )


def http_client(**members: Any) -> Change:
    """The same with an `http_client` of the user's, which CrewAI's own parameters have no place for."""

    def give(recipe: Recipe) -> None:
        http = httpx.Client(**members)
        client = openai.OpenAI(api_key="sk-a-key", base_url=f"{recipe.base_url}/v1", http_client=http)
        recipe.llm.update(model="gpt-4o")
        recipe.after = lambda crew: setattr(crew.agents[0].llm, "_client", client)

    return give


MODELS: dict[str, tuple[str, Callable[[str], Change]]] = {
    "interceptor": ("agent.llm.interceptor", lambda note: of_openai(interceptor=lambda: Interceptor(note))),
    "default_headers": ("agent.llm.headers", lambda note: of_openai(default_headers={"X-Model": note})),
    "default_query": ("agent.llm.default_query", lambda note: of_openai(default_query={"api-version": note})),
    "extra_headers": ("agent.llm.extra_headers", lambda note: of_openai(additional_params={"extra_headers": {"X-Model": note}})),
    "extra_query": ("agent.llm.extra_query", lambda note: of_openai(additional_params={"extra_query": {"version": note}})),
    "headers by client_params": (
        "agent.llm.headers",
        lambda note: of_openai(client_params={"default_headers": {"X-Model": note}}),
    ),
    "query by client_params": (
        "agent.llm.client_params.default_query",
        lambda note: of_openai(client_params={"default_query": {"version": note}}),
    ),
    "event hook of http_client": ("agent.llm", lambda note: http_client(event_hooks={"request": [noting(note)]})),
    "transport of http_client": ("agent.llm", lambda note: http_client(transport=Transport(note))),
    "auth of http_client": ("agent.llm", lambda note: http_client(auth=HttpxAuth(note))),
    "header of http_client": ("agent.llm", lambda note: http_client(headers={"X-Model": note})),
    "query of http_client": ("agent.llm", lambda note: http_client(params={"version": note})),
}
for kind, (component, give) in MODELS.items():
    SCENARIOS[f"openai with {kind}"] = give("a")
    row("model", kind, give("b"), component, scenario=f"openai with {kind}")
    row("model", kind, nothing, scenario=f"openai with {kind}", note="made anew")
    row("model", kind, nothing, scenario=f"openai with {kind}", note="used", again=True)
row("model", "interceptor's token", of_openai(interceptor=lambda: Interceptor("a", "two")), scenario="openai with interceptor")
SCENARIOS["openai with key in headers"] = of_openai(default_headers={"X-Api-Key": "one", "X-Request-Id": "1"})
row("model", "key in headers", of_openai(default_headers={"X-Api-Key": "two", "X-Request-Id": "2"}),
    scenario="openai with key in headers")  # fmt: skip


def by_environment(name: str, path: str, **members: Any) -> Change:
    """A model whose endpoint only the environment names."""
    return lambda recipe: (
        recipe.llm.update({"base_url": None, **members}),
        recipe.environment.update({name: recipe.base_url + path, "OPENAI_API_KEY": "sk-one"}),
    )


ENDPOINTS: dict[str, dict[str, Any]] = {
    "OPENAI_BASE_URL": {"model": "gpt-4o"},
    "OLLAMA_HOST": {"model": "llama3", "provider": "ollama"},
    "DEEPSEEK_BASE_URL": {"model": "deepseek-chat", "provider": "deepseek"},
}
for name, members in ENDPOINTS.items():
    SCENARIOS[f"endpoint by {name}"] = by_environment(name, "/v1", **members)
    row("endpoint", name, by_environment(name, "/other/v1", **members), "agent.llm.endpoint", scenario=f"endpoint by {name}")
    row("endpoint", name, nothing, scenario=f"endpoint by {name}", note="made anew")
row("endpoint", "OPENAI_API_KEY", lambda recipe: recipe.environment.update(OPENAI_API_KEY="sk-two"),
    scenario="endpoint by OPENAI_BASE_URL", note="rotated")  # fmt: skip

# MCP servers on this machine and behind HTTP, which tell in a description how they were asked.

SERVER = '''
import json, os, sys
from helpers import UNIT
text = f"Prices in {UNIT}, {os.environ.get('MODE')}, {sys.argv[1:]}"
if os.path.exists("said.txt"):
    text = open("said.txt").read()
schema = {"type": "object", "properties": {"item": {"type": "string"}}}
about = {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": {"name": "p", "version": "1"}}
answers = {"initialize": about, "tools/list": {"tools": [{"name": "price", "description": text, "inputSchema": schema}]}}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answers.get(asked["method"], {})}), flush=True)
'''


def served(server: str = SERVER, unit: str = "dollars", said: str = "", **members: Any) -> Change:
    """A server on this machine: its files and how it is started."""

    def give(recipe: Recipe) -> None:
        (recipe.folder / "prices.py").write_text(server)
        (recipe.folder / "helpers.py").write_text(f"UNIT = {unit!r}\n")
        (recipe.folder / "said.txt").unlink(missing_ok=True)
        if said:
            (recipe.folder / "said.txt").write_text(said)
        given = {"command": sys.executable, "args": ["prices.py"], "env": {"MODE": "x", "API_KEY": "one"}, **members}
        recipe.agent["mcps"] = [MCPServerStdio(**given)]

    return give


def behind_http(**headers: str) -> Change:
    """A server behind HTTP."""
    return lambda recipe: recipe.agent.update(
        mcps=[MCPServerHTTP(url=f"{recipe.base_url}/mcp", headers={"Authorization": "Bearer one", "X-Tenant": "a", **headers})]
    )


SCENARIOS.update({"served": served(), "served over http": behind_http()})
row("server", "unchanged", nothing, scenario="served")
row("server", "env", served(env={"MODE": "y", "API_KEY": "one"}), "agent.mcp:1.env", scenario="served")
row("server", "env secret", served(env={"MODE": "x", "API_KEY": "two"}), scenario="served", note="rotated")
row("server", "args", served(args=["prices.py", "more"]), "agent.mcp:1.args", scenario="served")
row("server", "file of the args", served(server=SERVER + "# another\n"), "agent.mcp:1.file:prices.py", scenario="served",
    needless="a server's tools may do something else under the same descriptions")  # fmt: skip
row("server", "file that it imports", served(unit="euros"), "agent.mcp:1.file:helpers.py", scenario="served")
row("server", "descriptions", served(said="Prices of yesterday"), "resolved:tool:price", scenario="served")
row("server", "unchanged", nothing, scenario="served over http")
row("server", "header", behind_http(**{"X-Tenant": "b"}), "agent.mcp:1.headers", scenario="served over http")
row("server", "secret header", behind_http(Authorization="Bearer two"), scenario="served over http", note="rotated")

# Files that tools read by themselves, and that are declared.


class Reading(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    path: Any = "terms"

    def _run(self, policy: str) -> str:
        found = Path(self.path)
        files = sorted(f for f in found.rglob("*") if f.is_file()) if found.is_dir() else [found]
        return f"found: {[(file.name, file.read_text()) for file in files]}"


def declared(*files: str, **contents: str) -> Change:
    """A tool that reads the folder `terms`, of which these files are declared."""

    def give(recipe: Recipe) -> None:
        folder = recipe.folder / "terms"
        for old in [file for file in folder.rglob("*") if file.is_file()]:
            old.unlink()
        for name, text in {"motor": "hail", "home__fire": "fire", **contents}.items():
            file = folder / f"{name.replace('__', '/')}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            if text:
                file.write_text(text)
        recipe.tool = Reading()
        recipe.policies["target"] = TaskPolicy(files=files)

    return give


def home(recipe: Recipe) -> None:
    recipe.environment["HOME"] = str(recipe.folder)


DECLARED = {"folder": ("terms", ""), "pattern": ("terms/**/*.txt", ""), "home": ("~/terms", "~/")}
for kind, (files, at) in DECLARED.items():
    SCENARIOS[f"declared {kind}"] = both(declared(files), home)
    for what, file, contents in (
        ("content", "motor.txt", {"motor": "no hail"}),
        ("content below", "home/fire.txt", {"home__fire": "no fire"}),
        ("one more", "boat.txt", {"boat": "storm"}),
        ("one gone", "motor.txt", {"motor": ""}),
    ):
        row("files", f"{kind}, {what}", declared(files, **contents), f"file:{at}terms/{file}", scenario=f"declared {kind}")
    row("files", kind, lambda recipe: utime(recipe.folder / "terms/motor.txt", (1, 1)), scenario=f"declared {kind}", note="touched")


def write_meanwhile(recipe: Recipe) -> None:
    """The file changes between the tool's reading and the end of the task."""
    recipe.agent["step_callback"] = lambda *_: (recipe.folder / "terms/motor.txt").write_text("no hail")


row("files", "changed meanwhile", declared("terms", motor="no hail"), "file:terms/motor.txt", scenario="declared folder",
    meanwhile=write_meanwhile)  # fmt: skip
row("files", "changed meanwhile and back", nothing, scenario="declared folder", meanwhile=write_meanwhile,
    needless="the answer may have been made of either content")  # fmt: skip

# The project's folder, moved.

PROJECT = '''
from pathlib import Path
from crewai.tools import tool
FILE = Path(__file__).parent / "NAME"
def look_up(policy: str) -> str:
    """Look a policy up."""
    return f"found: {FILE.name} {FILE.read_text()}"
lookup = tool("lookup")(look_up)
'''


def project(place: str, file: str = "terms.txt", text: str = "hail", held: bool = False) -> Change:
    """A checkout in a folder of its own, whose tool knows a file by its path."""

    def give(recipe: Recipe) -> None:
        folder = recipe.folder / place / "shop"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pyproject.toml").write_text("[project]\n")
        (folder / file).write_text(text)
        (folder / "shop_tools.py").write_text(PROJECT.replace("NAME", file))
        recipe.working_folder = folder
        recipe.tool = Reading(path=folder / file) if held else loaded(folder / "shop_tools.py").lookup

    return give


def loaded(file: Path) -> Any:
    """The module of this file, as a new process would import it."""
    importlib.invalidate_caches()
    sys.modules.pop(file.stem, None)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


for held, kind in ((False, "global"), (True, "field")):
    component = "tool:lookup.path" if held else "tool:lookup.source"
    SCENARIOS[f"project, {kind}"] = project("here", held=held)
    row("folder", "moved", project("elsewhere", held=held), scenario=f"project, {kind}")
    row("folder", "another file", project("elsewhere", "conditions.txt", held=held), component, scenario=f"project, {kind}")


def told(recipe: Recipe) -> None:
    """The path is in the prompt."""
    recipe.task["description"] = f"{TARGET} Is {{notes}} covered by {recipe.working_folder}?"


SCENARIOS["project, prompt"] = both(project("here"), told)
row("folder", "moved", both(project("elsewhere"), told), "task.description", scenario="project, prompt")

# Handles of data that lives elsewhere.


class Querying(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    connection: Any = None

    def _run(self, policy: str) -> str:
        return f"found: {self.connection.execute('SELECT terms FROM policy').fetchall()}"


class Holding(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    engine: Any = None

    def _run(self, policy: str) -> str:
        return f"found: {self.engine.url.render_as_string(hide_password=True)}"


def database(name: str, terms: str = "hail") -> Change:
    """A tool that holds a connection to a database."""

    def make(recipe: Recipe) -> Querying:
        file = recipe.folder / f"{name}.sqlite"
        file.unlink(missing_ok=True)
        connection = sqlite3.connect(file, check_same_thread=False)
        connection.execute("CREATE TABLE policy (terms)")
        connection.execute("INSERT INTO policy VALUES (?)", (terms,))
        connection.commit()
        return Querying(connection=connection)

    return tool_of(make)


def engine(host: str = "a.example", password: str = "one") -> Change:
    """A tool that holds an engine."""
    return tool_of(lambda _: Holding(engine=create_engine(f"postgresql+psycopg://me:{password}@{host}/claims")))


def declare(file: str) -> Change:
    return lambda recipe: recipe.policies.update(target=TaskPolicy(files=(file,)))


SCENARIOS.update({"connection": database("one"), "engine": engine()})
SCENARIOS["declared database"] = both(database("one"), declare("one.sqlite"))
row("handle", "connection", nothing, scenario="connection", note="made anew")
row("handle", "connection", database("two", "fire"), "tool:lookup.connection", scenario="connection")
row("handle", "connection's data", both(database("one", "fire"), declare("one.sqlite")), "file:one.sqlite",
    scenario="declared database")  # fmt: skip
row("handle", "engine", nothing, scenario="engine", note="made anew")
row("handle", "engine", nothing, scenario="engine", note="used", again=True)
row("handle", "engine", engine("b.example"), "tool:lookup.engine", scenario="engine")
row("handle", "engine's password", engine(password="two"), scenario="engine", note="rotated")

# Secrets under their many names.

SECRETS = ("rapidapi_key", "openai_key", "gemini_key", "db_pass", "smtp_pass", "github_pat", "stripe_secret", "hf_token")


class Keyed(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    region: str = "eu"
    keys: dict[str, str] = {}
    rapidapi_key: str = "one"
    openai_key: str = "one"
    gemini_key: str = "one"
    db_pass: str = "one"
    smtp_pass: str = "one"
    github_pat: str = "one"
    stripe_secret: str = "one"
    hf_token: str = "one"

    def _run(self, policy: str) -> str:
        held = [bool(getattr(self, name)) for name in SECRETS]
        return f"found: {self.region} {held} {len(self.keys)}"


def admitted(policy: str) -> str:
    """Look a policy up."""
    held = (
        environ["RAPIDAPI_KEY"], environ["OPENAI_KEY"], environ["GEMINI_KEY"], environ["DB_PASS"], environ["SMTP_PASS"],
        environ["GITHUB_PAT"], environ["STRIPE_SECRET"], environ["HF_TOKEN"],
    )  # fmt: skip
    return f"found: {environ['REGION']} {len(held)}"


SCENARIOS["keyed"] = tool_of(lambda _: Keyed(keys={"RAPIDAPI_KEY": "one"}))
SCENARIOS["keyed by environment"] = both(
    tool_of(lambda _: tool("lookup")(admitted)),
    lambda recipe: recipe.environment.update({"REGION": "eu", **{name.upper(): "one" for name in SECRETS}}),
)
for name in SECRETS:
    row("secret", name, tool_of(lambda _, name=name: Keyed(keys={"RAPIDAPI_KEY": "one"}, **{name: "two"})), scenario="keyed")
    row("secret", name, lambda recipe, name=name: recipe.environment.update({name.upper(): "two"}),
        scenario="keyed by environment")  # fmt: skip
row("secret", "in a dict", tool_of(lambda _: Keyed(keys={"RAPIDAPI_KEY": "two"})), scenario="keyed")
row("secret", "region, which is none", tool_of(lambda _: Keyed(keys={"RAPIDAPI_KEY": "one"}, region="us")), "tool:lookup.region",
    scenario="keyed")  # fmt: skip
row("secret", "REGION, which is none", lambda recipe: recipe.environment.update(REGION="us"), "environment:REGION",
    scenario="keyed by environment")  # fmt: skip

# Typed outputs that do not come back from their own dump: served, they are what CrewAI makes.


class NotANumber(BaseModel):
    verdict: str
    score: float = float("nan")


class Excluded(BaseModel):
    verdict: str = Field(exclude=True)


class Aliased(BaseModel):
    said: str = Field(alias="verdict")


class Louder(BaseModel):
    verdict: Annotated[str, BeforeValidator(lambda text: f"{text}!")]


class Serialized(BaseModel):
    verdict: str

    @field_serializer("verdict")
    def hidden(self, value: str) -> str:
        return "hidden"


class Filled(BaseModel):
    verdict: str
    length: int | None = None

    @model_validator(mode="after")
    def count(self) -> Filled:
        self.length = len(self.verdict)
        return self


class Partly(BaseModel):
    verdict: str
    remark: str | None = None
    _read: int = PrivateAttr(default=0)


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    verdict: str
    parts: tuple[int, ...] = (1, 2)


class Either(BaseModel):
    verdict: int | Partly | str


for field in ("output_pydantic", "output_json"):
    for shape in (NotANumber, Excluded, Aliased, Louder, Serialized, Filled, Partly, Strict, Either):
        SCENARIOS[f"{field} {shape.__name__}"] = lambda recipe, f=field, s=shape: recipe.task.update({f: s})
        row("output", shape.__name__, nothing, scenario=f"{field} {shape.__name__}")

# State that one task's tool leaves in memory for another's.

SHARED: dict[str, str] = {}


def save() -> str:
    """Save it."""
    SHARED["terms"] = "hail"
    return "saved"


def save_other() -> str:
    """Save it."""
    SHARED["terms"] = "fire"
    return "saved"


def read_shared(policy: str) -> str:
    """Look a policy up."""
    return f"found: {SHARED.get('terms')}"


def read_shared_loudly(policy: str) -> str:
    """Look a policy up."""
    return f"found: {SHARED.get('terms')}!"


class Pad:
    def __init__(self) -> None:
        self.rows: list[str] = []


class Writing(BaseTool):
    name: str = "save"
    description: str = "Save it."
    pad: Any = None
    text: str = "hail"

    def _run(self) -> str:
        self.pad.rows.append(self.text)
        return "saved"


class Recalling(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    pad: Any = None

    def _run(self, policy: str) -> str:
        return f"found: {self.pad.rows}"


def handing(writer: Any = save, reader: Any = read_shared) -> Change:
    """The first task's tool leaves in a global what the target's reads."""

    def give(recipe: Recipe) -> None:
        recipe.before = SHARED.clear
        recipe.first_tool, recipe.tool = tool("save")(writer), tool("lookup")(reader)

    return give


def handing_an_object(text: str = "hail") -> Change:
    """The same in an object that both hold."""

    def give(recipe: Recipe) -> None:
        pad = Pad()
        recipe.first_tool, recipe.tool = Writing(pad=pad, text=text), Recalling(pad=pad)

    return give


SCENARIOS.update({"handed on": handing(), "handed on in an object": handing_an_object()})
for scenario in ("handed on", "handed on in an object"):
    row("state", "unchanged", nothing, scenario=scenario)
    row("state", "the same crew again", nothing, scenario=scenario, again=True)
row("state", "writer", handing(save_other), "state:SHARED", scenario="handed on")
row("state", "reader", handing(reader=read_shared_loudly), "tool:lookup.source", scenario="handed on")
row("state", "writer", handing_an_object("fire"), "state:rows", scenario="handed on in an object")
row("state", "writer's agent", lambda recipe: recipe.colleague.update(goal="be slow"), "state:SHARED", scenario="handed on",
    needless="what it leaves may be something else: the two are executed together")  # fmt: skip

# What a tool's own work leaves.

CACHE: dict[str, str] = {}
LAZY: Any = None
LIST = [3, 1, 2]
DICE = random.Random(1)


@functools.cache
def rate(policy: str) -> int:
    return len(policy)


def by_cache(policy: str) -> str:
    """Look a policy up."""
    if policy not in CACHE:
        CACHE[policy] = f"terms of {policy}"
    return f"found: {CACHE[policy]}"


def by_function_cache(policy: str) -> str:
    """Look a policy up."""
    return f"found: {rate(policy)}"


def by_lazy_global(policy: str) -> str:
    """Look a policy up."""
    global LAZY
    if LAZY is None:
        LAZY = json.JSONDecoder()
    return f"found: {LAZY.decode('[1]')}"


def by_late_import(policy: str) -> str:
    """Look a policy up."""
    import colorsys

    return f"found: {colorsys.rgb_to_hsv(1, 0, 0)}"


def by_sorting(policy: str) -> str:
    """Look a policy up."""
    LIST.sort()
    return f"found: {LIST}"


def by_dice(policy: str) -> str:
    """Look a policy up."""
    return f"found: {DICE.randrange(1, 7) > 0}"


def start_anew() -> None:
    """As a new process finds this module."""
    global LAZY
    CACHE.clear()
    rate.cache_clear()
    LAZY, LIST[:] = None, [3, 1, 2]
    DICE.seed(1)


class Caching(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    terms: str = "hail"

    @functools.cached_property
    def index(self) -> list[str]:
        return sorted(self.terms)

    def _run(self, policy: str) -> str:
        return f"found: {self.index}"


class Heaping(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    heap: list[int] = [1, 5, 7]

    def _run(self, policy: str) -> str:
        heapq.heappush(self.heap, 3)
        return f"found: {heapq.nsmallest(2, self.heap)}"


class Rolling(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    dice: Any = None

    def _run(self, policy: str) -> str:
        return f"found: {self.dice.random()}"


class Lazy(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    note: str = "a"
    _client: Any = None

    def _run(self, policy: str) -> str:
        self._client = self._client or httpx.Client(headers={"X-Note": self.note})
        return f"found: {self._client.headers['x-note']}"


for work in (by_cache, by_function_cache, by_lazy_global, by_late_import, by_sorting, by_dice):
    SCENARIOS[f"work {work.__name__}"] = both(
        tool_of(lambda _, work=work: tool("lookup")(work)), lambda recipe: setattr(recipe, "before", start_anew)
    )
    row("work", work.__name__, nothing, scenario=f"work {work.__name__}", note="made anew")
    row("work", work.__name__, nothing, scenario=f"work {work.__name__}", note="used", again=True)
WORKERS: dict[str, tuple[str, Callable[[], Any], Callable[[], Any]]] = {
    "cached_property": ("terms", Caching, lambda: Caching(terms="fire")),
    "heapq": ("heap", Heaping, lambda: Heaping(heap=[2, 5, 7])),
    "random": ("dice", lambda: Rolling(dice=random.Random(1)), lambda: Rolling(dice=random.Random(2))),
    "lazy client": ("note", Lazy, lambda: Lazy(note="b")),
}
for kind, (member, make, make_other) in WORKERS.items():
    SCENARIOS[f"work {kind}"] = tool_of(lambda _, make=make: make())
    row("work", kind, nothing, scenario=f"work {kind}", note="made anew")
    row("work", kind, nothing, scenario=f"work {kind}", note="used", again=True)
    row("work", kind, tool_of(lambda _, make=make_other: make()), f"tool:lookup.{member}", scenario=f"work {kind}")

# Compiled things that have a name, and what only lets code run.


class Computing(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    function: Any = None
    lock: Any = None
    given: Any = 4

    def _run(self, policy: str) -> str:
        return f"found: {self.function(self.given)}"


COMPILED: dict[str, tuple[Callable[[], Any], Callable[[], Any], Any]] = {
    "ufunc": (lambda: numpy.sqrt, lambda: numpy.exp, 4),
    "pattern": (lambda: re.compile("a+").findall, lambda: re.compile("b+").findall, "aabb"),
    "struct": (lambda: struct.Struct("<i").pack, lambda: struct.Struct(">i").pack, 4),
    "builtin": (lambda: abs, lambda: hex, 4),
}
for kind, (make, make_other, given) in COMPILED.items():
    SCENARIOS[f"compiled {kind}"] = tool_of(lambda _, make=make, given=given: Computing(function=make(), given=given))
    row("compiled", kind, nothing, scenario=f"compiled {kind}", note="made anew")
    row("compiled", kind, tool_of(lambda _, make=make_other, given=given: Computing(function=make(), given=given)),
        "tool:lookup.function", scenario=f"compiled {kind}")  # fmt: skip
for kind, make in {"lock": threading.RLock, "ssl context": ssl.create_default_context}.items():
    SCENARIOS[f"held {kind}"] = tool_of(lambda _, make=make: Computing(function=abs, lock=make()))
    row("compiled", kind, nothing, scenario=f"held {kind}", note="made anew")
    row("compiled", kind, nothing, scenario=f"held {kind}", note="used", again=True)
