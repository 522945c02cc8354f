"""What a policy declares as files, found and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from crew_repo import TaskPolicy
from crew_repo.declared_files import declared, find_files
from crew_repo.errors import PolicyError

FILES = ("terms/a.txt", "terms/b.txt", "terms/deep/c.txt", "terms/.hidden", "terms/d.md", "e.txt", ".f.txt")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with files in it."""
    here = tmp_path / "here"
    for name in FILES:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    monkeypatch.chdir(here)
    return here


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("e.txt", ["e.txt"]),
        ("./e.txt", ["e.txt"]),
        ("terms/../e.txt", ["e.txt"]),
        ("terms/*.txt", ["terms/a.txt", "terms/b.txt"]),
        ("terms/[ad].*", ["terms/a.txt", "terms/d.md"]),
        ("terms/[!a].txt", ["terms/b.txt"]),
        ("*/?.md", ["terms/d.md"]),
        ("*.txt", ["e.txt"]),
        (".*.txt", [".f.txt"]),
        ("**/*.txt", ["e.txt", "terms/a.txt", "terms/b.txt", "terms/deep/c.txt"]),
        ("terms/**/c.txt", ["terms/deep/c.txt"]),
        ("terms/*", ["terms/a.txt", "terms/b.txt", "terms/d.md", "terms/deep/c.txt"]),
        ("terms", ["terms/.hidden", "terms/a.txt", "terms/b.txt", "terms/d.md", "terms/deep/c.txt"]),
        ("terms/", ["terms/.hidden", "terms/a.txt", "terms/b.txt", "terms/d.md", "terms/deep/c.txt"]),
        ("terms/**", ["terms/.hidden", "terms/a.txt", "terms/b.txt", "terms/d.md", "terms/deep/c.txt"]),
        ("terms/x*.txt", []),
        ("nowhere/*.txt", []),
        ("nowhere.txt", []),
        ("terms/{a,b}.txt", []),
        ("e.txt/*", []),
    ],
)
def test_paths_patterns_and_folders(folder: Path, given: str, names: list[str]) -> None:
    """Each file has its path as its name; `covers` says the same of it as looking does."""
    found = find_files([given])
    assert list(found) == names
    assert all(Path(name).samefile(file) for name, file in found.items())
    (element,) = declared([given])
    assert sorted(name for name in FILES if element.covers((folder / name).resolve())) == sorted(names)


def test_a_name_with_brackets_is_found_as_it_is_written(folder: Path) -> None:
    """It may be a pattern too, so what matches counts as well."""
    for name in ("terms[1].txt", "terms1.txt"):
        Path(name).write_text(name)
    assert set(find_files(["terms[1].txt"])) == {"terms[1].txt", "terms1.txt"}
    Path("terms1.txt").unlink()
    assert set(find_files(["terms[1].txt"])) == {"terms[1].txt"}


def test_the_home_folder_is_expanded_and_not_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another machine it is another folder."""
    monkeypatch.setenv("HOME", str(folder))
    assert find_files(["~/terms/a.txt"]) == {"~/terms/a.txt": folder / "terms/a.txt"}
    assert list(find_files(["~/terms/*.md"])) == ["~/terms/d.md"]
    assert find_files(["~nobody/x"]) == {}
    Path("~$a.txt").write_text("an office program left it")
    assert list(find_files(["~$a.txt"])) == ["~$a.txt"]


def test_absolute_paths_are_named_by_where_they_are_to_each_other(folder: Path) -> None:
    """A project that is moved keeps its names, and two files never share one."""
    assert list(find_files([str(folder / "terms/a.txt")])) == ["a.txt"]
    assert list(find_files([str(folder / "terms/a.txt"), str(folder / "e.txt")])) == ["terms/a.txt", "e.txt"]
    assert list(find_files([str(folder / "terms/*.txt")])) == ["a.txt", "b.txt"]
    assert "terms/a.txt" in find_files([str(folder)])
    Path("a.txt").write_text("another one")
    assert list(find_files(["a.txt", str(folder / "terms/a.txt")])) == ["a.txt", ".../a.txt"]


def test_links_back_end_where_they_were_seen(folder: Path) -> None:
    """A folder that links to itself is walked once, whatever the way."""
    Path("terms/deep/again").symlink_to(folder / "terms", target_is_directory=True)
    Path("terms/deep/twice").symlink_to(folder, target_is_directory=True)
    Path("terms/gone.txt").symlink_to(folder / "nowhere")
    assert set(find_files(["terms/**/*.txt"])) >= {"terms/a.txt", "terms/deep/c.txt"}
    found = set(find_files(["terms"]))
    assert found >= {"terms/a.txt", "terms/deep/again", "terms/gone.txt"}
    assert len(found) < 30


def test_what_will_be_written_is_there_by_then(folder: Path) -> None:
    """A file that a task above writes counts where it would be found."""
    later = (folder / "out/report.txt").resolve()
    for given in ("out", "out/*.txt", "**/report.txt", "out/report.txt", str(folder / "out/report.txt")):
        (element,) = declared([given])
        assert list(element.find([later, folder / "other"]).values()) == [folder / "out/report.txt"], given
    assert declared(["out/*.md"])[0].find([later]) == {}


@pytest.mark.parametrize("files", [3, [3], [None], "", [" "], ["a", b"b"], b"a", ["a\0b"], [["a"]]])
def test_what_is_no_path_is_refused(files: object) -> None:
    """The message has what was given."""
    with pytest.raises(PolicyError, match=r"files has .*; give paths"):
        TaskPolicy(files=files)  # type: ignore[arg-type]


def test_one_path_need_not_be_a_list() -> None:
    """A text is one path, not its letters; a generator is read once."""
    assert TaskPolicy(files="a.txt").files == ("a.txt",)
    assert TaskPolicy(files=Path("a.txt")).paths == ("a.txt",)
    assert TaskPolicy(files=(name for name in "ab")).files == ("a", "b")
    assert TaskPolicy(files=()).files == ()
    assert TaskPolicy().files is None
