"use strict";
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
