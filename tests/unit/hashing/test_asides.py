"""What code says acts if other code asks for it: docstrings, and the names of variables of the environment."""

from __future__ import annotations

import pytest

from crew_repo.hashing import Hashed, hash_value
from tests.unit.hashing.conftest import Project

LOOKUPS = {
    "alias": "from os import getenv as g\ndef tool(): return g('MODE')\n",
    "alias of the mapping": "from os import environ as e\ndef tool(): return e['MODE']\n",
    "local alias": "import os\ndef tool():\n    e = os.environ.get\n    return e('MODE')\n",
    "local import": "def tool():\n    from os import environ as e\n    return e['MODE']\n",
    "global": "import os\nENV = os.environ\ndef tool(): return ENV['MODE']\n",
    "bound method": "import os\nget = os.environ.get\ndef tool(): return get('MODE')\n",
    "default": "import os\ndef tool(env=os.environ): return env['MODE']\n",
    "attribute": "import os\nclass A:\n    def __init__(self): self.env = os.environ\na = A()\ndef tool(): return a.env['MODE']\n",
    "helper": "import os\ndef setting(name): return os.getenv(name)\ndef tool(): return setting('MODE')\n",
    "helper's class": (
        "import os\nclass Config:\n    def __call__(self, name): return os.environ[name]\n"
        "config = Config()\ndef tool(): return config('MODE')\n"
    ),
    "parameter": "import os\ndef tool(name='MODE'): return os.environ[name]\n",
    "local name": "import os\ndef tool():\n    name = 'MODE'\n    return os.environ[name]\n",
    "loop": "import os\ndef tool(): return [os.getenv(name) for name in ('MODE', 'OTHER')]\n",
    "list": "import os\nNAMES = ['MODE']\ndef tool(): return [os.environ[name] for name in NAMES]\n",
    "bytes": "import os\ndef tool(): return os.environb[b'MODE']\n",
    "shell": "import subprocess\ndef tool(): return subprocess.run('echo $MODE', shell=True)\n",
    "program": "from subprocess import check_output\ndef tool(): return check_output(['printenv', 'MODE'])\n",
    "program that is given": "import subprocess\ndef tool(run=subprocess.run): return run(['printenv', 'MODE'])\n",
    "system": "import os\ndef tool(): return os.system('echo ${MODE}')\n",
    "attribute's name": "import os\nclass A: NAME = 'MODE'\ndef tool(): return os.environ[A.NAME]\n",
    "keyword": "import os\ndef tool(): return os.getenv(key='MODE')\n",
    "copy": "import os\ndef tool(): return {**os.environ}['MODE']\n",
    "expansion": "import os\ndef tool(): return os.path.expandvars('/data/$MODE/x')\n",
    "template": "import os\ndef tool(): return '{MODE}'.format_map(os.environ)\n",
    "getattr": "import os\ndef tool(): return getattr(os, 'environ')['MODE']\n",
    "settings": "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    mode: str\ndef tool(): return S()\n",
    "alias of settings": (
        "from pydantic import Field\nfrom pydantic_settings import BaseSettings\nclass S(BaseSettings):\n"
        "    kind: str = Field(validation_alias='mode')\ndef tool(): return S().kind\n"
    ),
}
BEGINNINGS = {
    "joined": "import os\ndef tool(name='KIND'): return os.environ['APP_' + name]\n",
    "f-string": "import os\ndef tool(name='KIND'): return os.environ[f'APP_{name}']\n",
    "ending": "import os\ndef tool(name='app'): return os.environ[name.upper() + '_KIND']\n",
    "ending of an f-string": "import os\ndef tool(name='app'): return os.environ[f'{name.upper()}_KIND']\n",
    "filter": "import os\ndef tool(): return {k: v for k, v in os.environ.items() if k.startswith('APP_')}\n",
    "settings": (
        "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n"
        "    model_config = {'env_prefix': 'APP_'}\n    kind: str = ''\ndef tool(): return S().kind\n"
    ),
}


def hashed(project: Project, text: str) -> Hashed:
    project.write(asking=text)
    return hash_value(project.load("asking").tool, "v")


@pytest.mark.parametrize("form", LOOKUPS)
def test_a_variable_that_is_named_anywhere_acts_if_names_are_looked_up_elsewhere(project, monkeypatch, form):
    """Whatever way its name takes to the environment; one that no text names does not act."""
    found = []
    for mode, another in (("a", "x"), ("a", "y"), ("b", "y")):
        monkeypatch.setenv("MODE", mode)
        monkeypatch.setenv("ANOTHER", another)
        found.append(hashed(project, LOOKUPS[form]))
    monkeypatch.delenv("MODE")
    found.append(hashed(project, LOOKUPS[form]))
    assert not any(each.opaque for each in found)
    assert len({each.sha256 for each in found}) == 1
    assert found[0] == found[1]
    assert len({each.environment for each in found}) == 3


@pytest.mark.parametrize("form", BEGINNINGS)
def test_variables_whose_names_begin_alike_act_if_their_beginning_is_named(project, monkeypatch, form):
    """The rest may be made at run time; a secret among them does not act."""
    found = []
    for kind, key in (("a", "one"), ("a", "two"), ("b", "two")):
        monkeypatch.setenv("APP_KIND", kind)
        monkeypatch.setenv("APP_API_KEY", key)
        found.append(hashed(project, BEGINNINGS[form]))
    assert found[0] == found[1] != found[2]


READING = {
    "own class": "class A:\n    'One.'\n    def say(self): return type(self).__doc__\na = A()\ndef tool(): return a.say()\n",
    "loop": "def helper():\n    'One.'\nALL = [helper]\ndef tool(): return [some.__doc__ for some in ALL]\n",
    "parameter": "def helper():\n    'One.'\ndef show(some): return some.__doc__\ndef tool(): return show(helper)\n",
    "inspect": "import inspect\ndef helper():\n    'One.'\ndef tool(): return inspect.getdoc(helper)\n",
    "getattr": "def helper():\n    'One.'\ndef tool(): return getattr(helper, '__doc__')\n",
    "pydoc": "import pydoc\ndef helper():\n    'One.'\ndef tool(): return pydoc.render_doc(helper)\n",
    "parser": (
        "from pydantic import BaseModel\nclass M(BaseModel):\n    'One.'\n"
        "def tool(parser=None): return parser(pydantic_object=M).get_format_instructions()\n"
    ),
    "schema": (
        "from pydantic import BaseModel\nclass Inner(BaseModel):\n    'One.'\nclass M(BaseModel):\n    inner: Inner\n"
        "def tool(): return M.model_json_schema()\n"
    ),
    "adapter": (
        "from pydantic import BaseModel, TypeAdapter\nclass M(BaseModel):\n    'One.'\n"
        "def tool(): return TypeAdapter(M).json_schema()\n"
    ),
    "response": (
        "from pydantic import BaseModel\nclass M(BaseModel):\n    'One.'\n"
        "def tool(client=None): return client.create(response_model=M)\n"
    ),
}


@pytest.mark.parametrize("form", READING)
def test_docstrings_act_if_something_reads_docstrings(project, form):
    """Whoever reads them: the helper text of another function, or the schema of a class that a model is asked to fill."""
    one, two = (hashed(project, READING[form].replace("One", text)) for text in ("One", "Two"))
    assert one != two
    assert not one.opaque
