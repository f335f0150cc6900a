"""The page in real headless Chromium: nothing leaves the file, nothing is wrong on the console, nothing is cut off."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from xtra_analysis import write_report
from xtra_analysis.synthetic import GENRES, METHODS, write_synthetic_run

pytestmark = pytest.mark.browser

DESKTOP, PHONE = (1280, 900), (390, 844)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
)  # fmt: skip
PROBE = r"""
<script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(e => {
    if (e.closest(".scroll, .drawing, pre, svg") || e.closest("details:not([open]) > :not(summary)")) return false;
    return e.getBoundingClientRect().right > innerWidth + 1;
  });
  const labels = [];
  for (const svg of document.querySelectorAll("svg")) {
    const turned = t => /rotate\(-?(?!0[ ,)])/.test(t.getAttribute("transform") ?? "");
    const upright = [...svg.querySelectorAll("text")].filter(t => !turned(t));
    const boxes = upright.map(t => [t.textContent, t.getBoundingClientRect()]);
    boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
      const x = Math.min(p.right, q.right) - Math.max(p.left, q.left), y = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (x > 3 && y > 0.5 * Math.min(p.height, q.height)) labels.push(a + " | " + b);
    }));
  }
  const seen = performance.getEntriesByType("resource").map(e => e.name).filter(name => !name.startsWith("data:"));
  document.title = "PROBE" + JSON.stringify({
    width: document.documentElement.scrollWidth, window: innerWidth, wide: wide.map(e => e.tagName), labels, resources: seen,
    scrolling: [...document.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth).map(e => e.innerText),
    first: document.querySelector("nav").getBoundingClientRect().top,
  });
});
</script>
"""

FRAME = """
<iframe id="f" src="inner.html" style="border: 0; width: WIDTHpx; height: HEIGHTpx"></iframe><pre id="out"></pre>
<script>
setInterval(() => {
  const title = f.contentDocument?.title ?? "";
  if (title.startsWith("PROBE")) out.textContent = title;
}, 50);
</script>
"""


@dataclass(frozen=True)
class Visit:
    """What a browser saw: `probe` measured the page, `log` is what it wrote to its console and about its network."""

    probe: dict[str, object]
    log: str


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "no Chromium: apt-get install chromium"
    return found


def visit(page: Path, profile: Path, size: tuple[int, int], *flags: str) -> subprocess.CompletedProcess[str]:
    command = [chromium(), *FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", *flags, page.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)


def probe(report: Path, tmp_path: Path, size: tuple[int, int], script: str = PROBE) -> Visit:
    """Opens a copy of the page, with a script of the test's added, in a frame of the size.

    Headless windows are never narrower than 500 pixels, and the page's policy forbids scripts that are not its own.
    """
    text = (report / "report.html").read_text(encoding="utf-8")
    policy = text[text.index("<meta http-equiv") : text.index("<meta name=")]
    inner, outer = tmp_path / "inner.html", tmp_path / "outer.html"
    inner.write_text(text.replace(policy, "").replace("</body>", script + "</body>"), encoding="utf-8")
    outer.write_text(FRAME.replace("WIDTH", str(size[0])).replace("HEIGHT", str(size[1])), encoding="utf-8")
    done = visit(
        outer, tmp_path / "profile", (1400, 1000), "--allow-file-access-from-files", "--virtual-time-budget=8000", "--dump-dom"
    )
    result = done.stdout[done.stdout.index("PROBE{") + 5 : done.stdout.index("</pre>")]
    return Visit(json.loads(unescape(result)), done.stderr)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_sticks_out_or_overlaps_and_nothing_is_requested(
    small_report: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    seen = probe(small_report, tmp_path, size).probe
    assert seen["window"] == size[0]
    assert seen["width"] == size[0], seen["wide"]
    assert seen["labels"] == []
    assert seen["resources"] == []


def test_the_first_screen_of_a_desktop_holds_figure_table_and_what_is_missing(small_report: Path, tmp_path: Path) -> None:
    first = probe(small_report, tmp_path, DESKTOP).probe["first"]
    assert isinstance(first, float | int) and first <= DESKTOP[1]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_screenshot_can_be_taken_without_a_word_on_the_console(
    small_report: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    picture = tmp_path / "screenshot.png"
    done = visit(small_report / "report.html", tmp_path / "profile", size, f"--screenshot={picture}")
    assert picture.stat().st_size > 20_000
    assert "CONSOLE" not in done.stderr


def test_it_prints(small_report: Path, tmp_path: Path) -> None:
    paper = tmp_path / "report.pdf"
    visit(small_report / "report.html", tmp_path / "profile", DESKTOP, f"--print-to-pdf={paper}")
    assert paper.read_bytes().startswith(b"%PDF") and paper.stat().st_size > 50_000


@pytest.fixture(scope="module")
def wide_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of twelve methods, more than one table can hold, with more missing runs than are shown at once."""
    directory = tmp_path_factory.mktemp("wide")
    run = write_synthetic_run(directory / "run", METHODS, GENRES["maze"], range(2))
    rows = (run / "scores.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (run / "scores.csv").write_text("".join(row for row in rows if ",WizardOfWor," not in row), encoding="utf-8")
    return write_report([run], directory / "out").parent


def test_no_table_of_twelve_methods_overflows_on_a_desktop_and_the_first_column_stays_on_a_phone(
    wide_report: Path, tmp_path: Path
) -> None:
    assert probe(wide_report, tmp_path, DESKTOP).probe["scrolling"] == []
    seen = probe(wide_report, tmp_path, PHONE, SCROLL).probe
    assert isinstance(seen["table"], int) and seen["table"] > 100
    assert seen["first"] == seen["edge"]
    assert isinstance(seen["figure"], int) and seen["figure"] > 100
    assert "scrolls sideways" in str(seen["hint"])


SCROLL = """
<script>
addEventListener("load", () => {
  const scroll = document.querySelector("[data-name=games] .scroll"), drawing = document.querySelector("figure.wide .drawing");
  scroll.scrollLeft = drawing.scrollLeft = 150;
  document.title = "PROBE" + JSON.stringify({
    table: Math.round(scroll.scrollLeft), figure: Math.round(drawing.scrollLeft), edge: scroll.getBoundingClientRect().left,
    first: scroll.querySelector("tbody th").getBoundingClientRect().left,
    hint: getComputedStyle(drawing.parentElement, "::before").content,
  });
});
</script>
"""

USE = r"""
<script>
addEventListener("load", async () => {
  const seen = {}, copied = [];
  Object.defineProperty(navigator, "clipboard", { value: { writeText: async text => { copied.push(text); } } });
  const block = name => document.querySelector(`.block[data-name=${name}]`);
  const column = (table, place) => [...table.tBodies[0].rows].map(row => row.cells[place].textContent);
  const visible = one => one.getClientRects().length > 0;
  const press = (part, text) => [...part.querySelectorAll("button")].find(one => one.textContent === text).click();

  const games = block("games"), parts = [...games.querySelectorAll("table")];
  seen.parts = parts.length;
  seen.before = column(parts[0], 0);
  press(parts[1], "Random");
  seen.sorted = [column(parts[0], 0), column(parts[1], 0), column(parts[1], parts[1].rows[0].cells.length - 1)];
  seen.sort = [...games.querySelectorAll("th")].map(one => one.ariaSort).filter(Boolean);
  press(parts[1], "Random");
  seen.reversed = column(parts[1], 0);
  press(parts[1], "Random");
  seen.restored = column(parts[0], 0);

  const missing = block("missing");
  const rows = () => [...missing.querySelectorAll("tbody tr")].filter(visible).length;
  seen.folded = [rows(), missing.querySelector(".unfold").innerText.trim()];
  missing.querySelector(".unfold input").click();
  seen.unfolded = rows();

  const labels = [...document.querySelectorAll(".switches label")];
  const switches = Object.fromEntries(labels.map(one => [one.textContent, one.firstChild]));
  const lines = () => [...document.querySelectorAll("svg ." + switches.CURL.id.slice(5))].filter(visible).length;
  const heads = () => [...games.querySelectorAll("thead th")].filter(visible).map(one => one.textContent);
  seen.curl = [lines(), heads().includes("CURL")];
  switches.CURL.click();
  seen.hidden = [lines(), heads().includes("CURL"), heads().includes("XTRA")];

  press(games, "Markdown");
  press(block("overview"), "LaTeX");
  await new Promise(done => setTimeout(done, 50));
  seen.copied = copied;

  URL.createObjectURL = blob => { seen.blob = blob.size; return "#saved"; };
  HTMLAnchorElement.prototype.click = function () { seen.file = this.download; };
  press(document.querySelector("figure[data-name=overview]"), "SVG");
  document.title = "PROBE" + JSON.stringify(seen);
});
</script>
"""


def test_tables_are_sorted_unfolded_and_copied_methods_hidden_and_figures_saved(wide_report: Path, tmp_path: Path) -> None:
    visited = probe(wide_report, tmp_path, DESKTOP, USE)
    assert "CONSOLE" not in visited.log
    seen: dict[str, Any] = visited.probe
    assert seen["parts"] == 2
    first, second, values = seen["sorted"]
    means = [float(value.split()[0].replace(",", "")) for value in values]
    assert first == second and means == sorted(means, reverse=True) and first != seen["before"]
    assert seen["sort"] == ["descending"]
    assert seen["reversed"] == first[::-1] and seen["restored"] == seen["before"]

    total = seen["unfolded"]
    assert seen["folded"] == [10, f"Show all {total} rows"] and total >= 24

    assert seen["curl"][0] > 5 and seen["curl"][1]
    assert seen["hidden"] == [0, False, True]

    markdown, latex = seen["copied"]
    lines = markdown.splitlines()
    assert lines[0].startswith("| Game | EfficientZero | XTRA |") and "CURL" not in lines[0]
    assert len({line.count(" | ") for line in lines}) == 1 and lines[1].startswith("| :-- | --: |")
    assert all(line.count("**") == 2 for line in lines[2:])
    assert latex.startswith("\\begin{tabular}{lrrrrr}\n\\toprule\nMethod & $\\times$~EfficientZero & 95 \\% interval & IQM &")
    assert latex.count("\\textbf{") == 2 and "CURL" not in latex

    assert seen["file"] == "overview.svg"
    assert seen["blob"] == pytest.approx((wide_report / "figures" / "overview.svg").stat().st_size, rel=0.02)


def test_without_scripts_nothing_is_missing_but_sorting_and_copying(wide_report: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    page = (wide_report / "report.html").read_text(encoding="utf-8")
    (bare / "report.html").write_text(re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL), encoding="utf-8")
    seen = probe(bare, tmp_path, DESKTOP).probe
    assert seen["width"] == DESKTOP[0] and seen["scrolling"] == []
    unused = (
        USE.partition("const games")[0]
        + """
  const box = document.querySelector(".switches input");
  box.click();
  seen.left = [...document.querySelectorAll("." + box.id.slice(5))].filter(visible).length;
  seen.buttons = document.querySelectorAll("button").length;
  seen.links = document.querySelectorAll("a[download]").length;
  document.title = "PROBE" + JSON.stringify(seen);
});
</script>
"""
    )
    used = probe(bare, tmp_path, DESKTOP, unused).probe
    assert (used["left"], used["buttons"]) == (0, 0)
    assert used["links"] == len([*(wide_report / "tables").iterdir(), *(wide_report / "figures").glob("*.svg")])
