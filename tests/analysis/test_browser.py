"""The page in real headless Chromium: nothing leaves the file, nothing is wrong on the console, nothing is cut off."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

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
    if (e.closest(".scroll, .drawing, pre, svg")) return false;
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


def probe(report: Path, tmp_path: Path, size: tuple[int, int]) -> Visit:
    """Opens a copy of the page, without its script ban, in a frame of the size (headless windows are never narrower than 500)."""
    text = (report / "report.html").read_text(encoding="utf-8")
    policy = text[text.index("<meta http-equiv") : text.index("<meta name=")]
    inner, outer = tmp_path / "inner.html", tmp_path / "outer.html"
    inner.write_text(text.replace(policy, "").replace("</body>", PROBE + "</body>"), encoding="utf-8")
    outer.write_text(FRAME.replace("WIDTH", str(size[0])).replace("HEIGHT", str(size[1])), encoding="utf-8")
    done = visit(
        outer, tmp_path / "profile", (1400, 1000), "--allow-file-access-from-files", "--virtual-time-budget=8000", "--dump-dom"
    )
    found = done.stdout[done.stdout.index("PROBE{") + 5 : done.stdout.index("</pre>")]
    return Visit(json.loads(found.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")), done.stderr)


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
