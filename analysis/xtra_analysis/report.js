"use strict";
// Adds what HTML and CSS cannot do: sorting, copying tables, saving figures. Without it the page lacks nothing else.
(() => {
  const SECONDS = { s: 1, min: 60, h: 3600 };
  const LATEX = { "\\": "\\textbackslash{}", "−": "$-$", "±": "$\\pm$", "×": "$\\times$", "–": "--", "↓": "$\\downarrow$", "²": "$^2$",
    "†": "$\\dagger$", "<": "$<$", ">": "$>$", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\u00a0": "~" };

  const hidden = () => [...document.querySelectorAll(".switches input:not(:checked)")].map(box => box.id.slice("show-".length));
  const shown = (element, classes) => !classes.some(name => element.classList.contains(name));

  function button(text, action) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", action);
    return made;
  }

  // The first number of a text, times in seconds; null if there is none.
  function amount(text) {
    const digits = text.replaceAll("−", "-").replaceAll(",", "").match(/-?\d+(\.\d+)?(e[+-]?\d+)?/);
    if (!digits) return null;
    const unit = text.match(/\u00a0(s|min|h)$/);
    return Number(digits[0]) * (unit ? SECONDS[unit[1]] : 1);
  }

  function compare(one, other, numeric) {
    if (!numeric) return one.localeCompare(other);
    const [a, b] = [amount(one), amount(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    return b - a;
  }

  // Parts of one table are sorted together, so that their rows stay the same.
  function makeSortable(block) {
    const tables = [...block.querySelectorAll("table")];
    const rows = tables.map(table => [...table.tBodies[0].rows]);
    tables.forEach((table, part) => [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const numeric = heading.classList.contains("number");
      const [first, second] = numeric ? ["descending", "ascending"] : ["ascending", "descending"];
      const sort = button(heading.textContent, () => {
        const next = { [first]: second, [second]: "none" }[heading.ariaSort] ?? first;
        block.querySelectorAll("thead th").forEach(one => one.removeAttribute("aria-sort"));
        const order = rows[0].map((_, place) => place);
        const text = place => rows[part][place].cells[column].textContent;
        if (next !== "none") {
          const blank = place => numeric && amount(text(place)) === null;
          const sign = next === first ? 1 : -1;
          order.sort((a, b) => blank(a) - blank(b) || sign * compare(text(a), text(b), numeric) || a - b);
          heading.ariaSort = next;
        }
        tables.forEach((one, place) => one.tBodies[0].append(...order.map(row => rows[place][row])));
      });
      sort.className = "sort";
      if (heading.textContent) heading.replaceChildren(sort);
    }));
  }

  // The cells of all parts side by side, as seen: in their order and without hidden methods, but with folded rows.
  function grid(block) {
    const away = hidden();
    const lines = [...block.querySelectorAll("table")].map(table =>
      [...table.rows].filter(row => shown(row, away)).map(row => [...row.cells].filter(cell => shown(cell, away))));
    return lines[0].map((line, row) => [...line, ...lines.slice(1).flatMap(part => part[row].slice(1))]);
  }

  function markdown(block) {
    const [head, ...body] = grid(block);
    const text = cell => {
      const plain = cell.textContent.trim().replaceAll("|", "\\|");
      return cell.classList.contains("best") ? `**${plain}**` : plain;
    };
    const rule = head.map(cell => cell.classList.contains("number") ? "--:" : ":--");
    return [head.map(text), rule, ...body.map(line => line.map(text))].map(line => `| ${line.join(" | ")} |\n`).join("");
  }

  function latex(block) {
    const [head, ...body] = grid(block);
    const text = cell => {
      const plain = cell.textContent.trim().replace(/[&%$#_{}]/g, "\\$&").replace(/\\(?![&%$#_{}])|[−±×–↓²†<>~^\u00a0]/g, one => LATEX[one]);
      return cell.classList.contains("best") ? `\\textbf{${plain}}` : plain;
    };
    const line = cells => `${cells.map(text).join(" & ")} \\\\\n`;
    const columns = head.map(cell => cell.classList.contains("number") ? "r" : "l").join("");
    return `\\begin{tabular}{${columns}}\n\\toprule\n${line(head)}\\midrule\n${body.map(line).join("")}\\bottomrule\n\\end{tabular}\n`;
  }

  async function copy(made, text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // A page without permission, or without https, may still copy what is selected.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const label = made.textContent;
    made.textContent = "Copied";
    setTimeout(() => { made.textContent = label; }, 1200);
  }

  function save(figure) {
    const text = new XMLSerializer().serializeToString(figure.querySelector("svg"));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    link.download = `${figure.dataset.name}.svg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  for (const block of document.querySelectorAll(".block")) {
    makeSortable(block);
    const tools = block.querySelector(".tools");
    for (const [name, write] of [["Markdown", markdown], ["LaTeX", latex]]) {
      const made = button(name, () => copy(made, write(block)));
      made.title = `Copy the table as ${name}`;
      tools.insertBefore(made, tools.querySelector(".key"));
    }
  }
  for (const figure of document.querySelectorAll("figure")) figure.querySelector(".tools").prepend(button("SVG", () => save(figure)));
})();
