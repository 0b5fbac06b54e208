"use strict";
// On a phone the contents would fill the screen.
if (window.matchMedia("(max-width: 60rem)").matches)
  for (const contents of document.querySelectorAll("details.contents")) contents.open = false;

// Titles of columns become buttons that sort their table: numbers from large to small first, words from A to Z.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const titles = [...table.tHead.rows[0].cells];
  titles.forEach((title, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...title.childNodes);
    title.append(button);
    button.addEventListener("click", () => {
      const first = title.classList.contains("number") ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = title.getAttribute("aria-sort") === first ? other : first;
      for (const each of titles) each.removeAttribute("aria-sort");
      title.setAttribute("aria-sort", order);
      body.append(...[...body.rows].sort((one, two) => compare(one.cells[column], two.cells[column], order)));
    });
  });
}

// Cells without a value stay below, whichever way the others are sorted.
function compare(one, two, order) {
  const sign = order === "ascending" ? 1 : -1;
  if ("key" in one.dataset && "key" in two.dataset) return sign * (one.dataset.key - two.dataset.key);
  if ("key" in one.dataset || "key" in two.dataset) return "key" in one.dataset ? -1 : 1;
  return sign * one.textContent.localeCompare(two.textContent, "en", { numeric: true });
}

// Rows are hidden by group and preset, data sets by name. A matrix loses the columns of its hidden rows.
const form = document.querySelector("form.filters");
const marked = [...document.querySelectorAll("tr[data-group]")];
const matrices = [...document.querySelectorAll("table.matrix")].map((table) => [table, [...table.tBodies[0].rows]]);
if (form) {
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => filter(new FormData(form)));
}

function filter(asked) {
  const choosable = form.querySelector("input[name=group]") !== null;
  const groups = asked.getAll("group");
  const preset = asked.get("preset") ?? "";
  const dataset = asked.get("dataset") ?? "";
  for (const row of marked) {
    const other = preset !== "" && row.dataset.preset !== "" && row.dataset.preset !== preset;
    row.hidden = other || (choosable && !groups.includes(row.dataset.group));
  }
  for (const article of document.querySelectorAll("article[data-dataset]"))
    article.hidden = dataset !== "" && article.dataset.dataset !== dataset;
  for (const [table, rows] of matrices)
    rows.forEach((row, at) => {
      for (const line of table.rows) line.cells[at + 1].hidden = row.hidden;
    });
  const shown = marked.filter((row) => !row.hidden).length;
  form.querySelector("output").textContent = shown === marked.length ? "" : `${shown} of ${marked.length} lines of tables shown`;
}
