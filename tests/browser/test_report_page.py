"""Reports in a real browser: nothing is asked of a network, nothing runs, everybody can read them, also on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crew_repo import StateRepository
from tests.browser import states
from tests.playing import run_once

pytestmark = pytest.mark.siege
WIDTHS = [1280, 360]
KINDS = ["claims", "forty tasks", "hostile texts"]
THOUSAND = "thousand claims"
OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"
SEEN_WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the example has run."""
    return run_once("claims_triage.py", tmp_path_factory)[0]


@pytest.fixture(scope="module")
def reports(example: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of each state."""
    folder = tmp_path_factory.mktemp("reports")
    made = {
        "claims": states.claims(example, folder / "claims.db"),
        "forty tasks": states.forty_tasks(folder / "forty.db"),
        "thousand claims": states.thousand_claims(example, folder / "thousand.db"),
        "hostile texts": states.hostile(folder / "hostile.db"),
    }
    for name, file in made.items():
        with StateRepository(file, verbose=False) as repo:
            repo.report(folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in made}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everybody_can_read_it(reports, shown, kind, width, dark, tmp_path):
    """axe finds nothing in all that can be opened; it is as wide as the screen; no request leaves it; there are screenshots."""
    page = shown(reports[kind], width=width, dark=dark, bypass_csp=True)  # axe is a script
    assert page.screenshot(path=tmp_path / "closed.png", full_page=True)
    page.evaluate(OPEN_ALL)
    check_for_all(page)
    assert page.evaluate(SEEN_WIDTH) <= width
    assert page.screenshot(path=tmp_path / "open.png")
    assert page.asked == [reports[kind].as_uri()]


def check_for_all(page, *parts: str) -> None:
    """Fail if axe finds anything in these parts, or anywhere."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context={"include": [[part] for part in parts]} if parts else None)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_thousand_claims_can_be_read(reports, shown, width):
    """The index lists all, the newest are in full, and the first of them is as good as any."""
    page = shown(reports[THOUSAND], width=width, bypass_csp=True)
    check_for_all(page, "header", "#w1")
    assert page.locator("#workflows + .scroll tbody tr").count() == 1002
    assert 1 <= page.locator("main > section").count() <= 24
    assert page.evaluate(SEEN_WIDTH) <= width
    assert page.asked == [reports[THOUSAND].as_uri()]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_runs(reports, shown, kind):
    """No script, image or handler is on the page; its title is ours; no dialog opens; clicks ask for nothing."""
    page = shown(reports[kind])
    said: list[Any] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: said.append(message.text))
    for summary in page.locator("summary:visible").all()[:12]:
        summary.click()
    assert page.title().endswith(": crew_repo report")
    assert page.locator("script, img, iframe, object, embed, link, form, base, audio, video").count() == 0
    names = page.evaluate("[...document.querySelectorAll('*')].flatMap(each => each.getAttributeNames())")
    assert [name for name in names if name.startswith("on")] == []
    assert {address[:1] for address in page.evaluate("[...document.querySelectorAll('[href]')].map(each => each.getAttribute('href'))")} <= {"#"}
    assert (said, page.asked) == ([], [reports[kind].as_uri()])


@pytest.mark.parametrize("kind", KINDS)
def test_on_paper_what_is_closed_is_open(reports, shown, kind, tmp_path):
    """The PDF has what the page shows only on a click."""
    import pypdfium2

    file = tmp_path / "report.pdf"
    shown(reports[kind]).pdf(path=file, format="A4")
    with pypdfium2.PdfDocument(file) as pdf:
        text = " ".join(page.get_textpage().get_text_bounded() for page in pdf)
    for words in ("What was asked", "What the answer was made from", "agent.role", "all of it"):
        assert words in text, words


def test_a_task_of_the_graph_leads_to_its_card(reports, shown):
    """A click on a node opens what is known of the task."""
    page = shown(reports["claims"])
    card = page.locator("#w1t1")
    assert not card.is_visible()
    page.locator("#w1 svg.graph a").first.click()
    card.wait_for(state="visible")


def test_it_reads_without_style(reports, shown):
    """With style taken away the tasks, states and reasons stand there in their order."""
    page = shown(reports["claims"], bypass_csp=True)
    page.evaluate("document.querySelectorAll('style, [style]').forEach(each => each.tagName === 'STYLE' ? each.remove() "
                  ": each.removeAttribute('style'))")  # fmt: skip
    text = page.locator("#w1 .tasks").inner_text()
    assert text.index("task_00") < text.index("task_01") < text.index("failed")
    assert page.evaluate(SEEN_WIDTH) <= 1280


@pytest.mark.parametrize(("kind", "most"), [("claims", 130_000), (THOUSAND, 2_000_000), ("hostile texts", 2_000_000)])
def test_it_is_small(reports, kind, most):
    """The page stays small, however much there is to show."""
    assert reports[kind].stat().st_size < most


def test_the_example_takes_less_than_100_kb(example, tmp_path):
    """The state of the example alone, as it is."""
    with StateRepository(example / "claims_triage.db", verbose=False) as repo:
        assert repo.report(tmp_path / "report.html").stat().st_size < 100_000
