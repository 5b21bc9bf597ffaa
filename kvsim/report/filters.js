// The filters of a list. Each row holds its values as data-NAME; a select of that NAME chooses one.
// The choice is in the address, so that it can be kept and sent.
"use strict";
const filters = [...document.querySelectorAll(".filters select")];
const rows = [...document.querySelectorAll("tbody.filtered > tr")];
const count = document.querySelector(".filters output");

function apply() {
  let shown = 0;
  for (const row of rows) {
    row.hidden = filters.some(({ name, value }) => value && row.dataset[name] !== value);
    shown += row.hidden ? 0 : 1;
  }
  count.textContent = shown === rows.length ? `${shown} shown` : `${shown} of ${rows.length} shown`;
}

function fromAddress() {
  const chosen = new URLSearchParams(location.hash.slice(1));
  for (const filter of filters) {
    const value = chosen.get(filter.name) ?? "";
    const known = [...filter.options].some((option) => option.value === value);
    filter.value = known ? value : "";
  }
  apply();
}

function toAddress() {
  const chosen = filters.filter(({ value }) => value).map(({ name, value }) => [name, value]);
  location.replace(`#${new URLSearchParams(chosen)}`);
}

for (const filter of filters) filter.addEventListener("change", toAddress);
addEventListener("hashchange", fromAddress);
fromAddress();
