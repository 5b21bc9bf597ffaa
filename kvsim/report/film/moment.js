// The moment that is chosen: one operation in full, and the wire around it.

const WIRE_AROUND = 60;

function showOperation(state) {
  const { row } = state.selected;
  const box = byId("operation");
  if (row < 0) return fill(box, element("h2", "", "One operation"), element("p", "empty", emptyText(state)));
  const { data } = state;
  const { ops, strings, names } = data;
  const outcome = names.outcome[ops.outcome[row]];
  const reason = names.reason[ops.reason[row]];
  const step = data.steps[ops.step[row]];
  const list = element("dl");
  const line = (name, ...value) => list.append(element("dt", "", name), element("dd", "", ...value));
  line("outcome", element("span", `pill ${outcome}`, reason ? `${outcome}: ${reason}` : outcome), ` ${meaning(outcome)}`);
  if (strings[ops.detail[row]] && outcome !== "refused") line("", strings[ops.detail[row]]);
  if (ops.sent[row] || ops.received[row]) {
    line("sent", element("pre", "", readable(strings[ops.sent[row]])));
    line("received", ops.received[row] ? element("pre", "", readable(strings[ops.received[row]])) : "nothing");
  } else {
    line("key", element("code", "", strings[ops.key[row]] || "–"));
    line("value", ops.value[row] ? element("code", "", strings[ops.value[row]]) : "absent");
  }
  line("when", `${seconds(ops.start_s[row], true)}, ${ops.took_us[row] === NEVER_US ? "never returned" : `took ${seconds(ops.took_us[row] / 1e6)}`}`);
  line("by", `${data.lanes[ops.lane[row]].name}${ops.client[row] ? ` (number ${ops.client[row]})` : ""}, ${names.purpose[ops.purpose[row]]}`);
  if (step) line("step", `${step.id} `, element("code", "", step.text), ` (line ${step.line})`);
  for (const violation of state.data.violations) if (violation.operations.includes(row)) line("finding", element("span", "result fail", violation.message));
  fill(box, element("h2", "", title(data, row)), list);
}

const MEANINGS = { ok: "answered as asked", refused: "it certainly did not happen", unknown: "it may have happened, or not" };
const meaning = (outcome) => MEANINGS[outcome];

function emptyText(state) {
  if (state.selected.at_s !== null) return `Nothing is chosen at ${seconds(state.selected.at_s, true)}; the logs below stand at that time.`;
  return "Click an operation to see what was sent and received, and what every node logged at that moment. The arrow keys go from one to the next.";
}

function showWire(state) {
  const { ops } = state.data;
  const middle = state.selected.row >= 0 ? state.selected.row : lowerBound(ops.rows, (row) => ops.start_s[row], state.selected.at_s ?? 0);
  const first = Math.max(0, middle - WIRE_AROUND);
  const last = Math.min(ops.rows, middle + WIRE_AROUND);
  const rows = [];
  for (let row = first; row < last; row++) rows.push(wireRow(state, row));
  const box = byId("wire");
  fill(box, ...rows);
  if (!rows.length) fill(box, element("p", "empty", "No request was sent in this run."));
  byId("wire-where").textContent = ops.rows ? `${(first + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ${ops.rows.toLocaleString("en")} requests` : "";
  const now = rows[middle - first];
  if (now) box.scrollTop = now.offsetTop - box.offsetTop - box.clientHeight / 3;
}

function wireRow(state, row) {
  const { ops, strings, nodes, names } = state.data;
  const outcome = names.outcome[ops.outcome[row]];
  const sent = ops.sent[row] ? oneLine(strings[ops.sent[row]]) : `${names.verb[ops.verb[row]]} ${strings[ops.key[row]]} ${/put|cas/.test(names.verb[ops.verb[row]]) ? strings[ops.value[row]] : ""}`;
  const received = ops.received[row] ? oneLine(strings[ops.received[row]]) : ops.sent[row] || outcome !== "ok" ? names.reason[ops.reason[row]] || outcome : strings[ops.value[row]] || "–";
  const made = element("div", "row", element("time", "", seconds(ops.start_s[row], true)), element("span", "who", nodes[ops.node[row]]?.name ?? "–"), element("span", "", sent), element("span", outcome, received));
  made.classList.toggle("now", row === state.selected.row);
  made.classList.toggle("bad", Boolean(state.violating[row]));
  made.classList.toggle("looks", state.looks[ops.lane[row]]);
  made.title = `${sent}\n→ ${received}`;
  made.onclick = () => choose(state, row, { keepView: false });
  return made;
}
