// The selected operation in full, and the requests around it.

timeline.selection = (() => {
  const { byId, element, fill, readable, oneLine, grouped } = timeline.dom;
  const { NEVER_US, lowerBound } = timeline.decode;
  const { seconds } = timeline.clock;
  const { selectRow } = timeline.view;
  const { operationTitle } = timeline.draw;

  const ROWS_AROUND = 60;
  const MEANINGS = {
    ok: "answered as requested",
    refused: "it certainly did not happen",
    unknown: "it may have happened, or not",
  };
  // What was answered to an operation that found another state than it needed.
  const NOT_FOUND = { cas_missed: "met another value", delete_missed: "not found" };
  const HINT =
    "Click an operation to see what was sent and received, and what every node logged at that " +
    "time. The arrow keys go from one operation to the next.";

  function showOperation(state) {
    const { row } = state.selected;
    const box = byId("operation");
    if (row < 0) {
      fill(box, element("h2", "", "One operation"), element("p", "empty", emptyText(state)));
      return;
    }
    const list = element("dl");
    for (const [name, ...value] of operationLines(state, row)) {
      list.append(element("dt", "", name), element("dd", "", ...value));
    }
    fill(box, element("h2", "", operationTitle(state.data, row)), list);
  }

  function emptyText(state) {
    const { at_s } = state.selected;
    if (at_s === null) return HINT;
    return `No operation is selected at ${seconds(at_s, true)}; the logs below show that time.`;
  }

  // Rows of name and value.
  function operationLines(state, row) {
    const { data } = state;
    const { ops, strings, names } = data;
    const outcome = names.outcome[ops.outcome[row]];
    const step = data.steps[ops.step[row]];
    const detail = strings[ops.detail[row]];
    const client = strings[ops.client[row]] ? ` (number ${strings[ops.client[row]]})` : "";
    const took =
      ops.took_us[row] === NEVER_US ? "never returned" : `took ${seconds(ops.took_us[row] / 1e6)}`;
    const lines = [["outcome", outcomePill(names, ops, row), ` ${MEANINGS[outcome]}`]];
    if (detail && outcome !== "refused") lines.push(["", detail]);
    lines.push(...contentLines(state.data, row));
    lines.push(["when", `${seconds(ops.start_s[row], true)}, ${took}`]);
    lines.push([
      "by",
      `${data.lanes[ops.lane[row]].name}${client}, ${names.purpose[ops.purpose[row]]}`,
    ]);
    if (step)
      lines.push(["step", `${step.id} `, element("code", "", step.text), ` (line ${step.line})`]);
    for (const violation of data.violations) {
      if (!violation.operations.includes(row)) continue;
      const name = violation.blocked === row ? "cannot be placed" : "finding";
      lines.push([name, element("span", "result fail", violation.message)]);
    }
    return lines;
  }

  function outcomePill(names, ops, row) {
    const outcome = names.outcome[ops.outcome[row]];
    const reason = names.reason[ops.reason[row]];
    return element("span", `pill ${outcome}`, reason ? `${outcome}: ${reason}` : outcome);
  }

  // The bytes where they were recorded; of a load's operation, its key and value.
  function contentLines({ ops, strings }, row) {
    const bytes = (number) => element("pre", "", readable(strings[number]));
    const code = (number) => element("code", "", strings[number] || '""');
    if (ops.sent[row] || ops.received[row]) {
      const received = ops.received[row] ? bytes(ops.received[row]) : "nothing";
      return [
        ["sent", bytes(ops.sent[row])],
        ["received", received],
      ];
    }
    const key = strings[ops.key[row]] ? code(ops.key[row]) : element("code", "", "–");
    return [
      ["key", key],
      ["value", ops.value[row] ? code(ops.value[row]) : "absent"],
    ];
  }

  function showRequests(state) {
    const { ops, about } = state.data;
    const { row, at_s } = state.selected;
    const startOf = (index) => ops.start_s[index];
    const middle = row >= 0 ? row : lowerBound(ops.rows, startOf, at_s ?? 0);
    const first = Math.max(0, middle - ROWS_AROUND);
    const last = Math.min(ops.rows, middle + ROWS_AROUND);
    const rows = [];
    for (let index = first; index < last; index++) rows.push(requestRow(state, index));
    const box = byId("requests");
    fill(box, ...rows);
    if (!rows.length) fill(box, element("p", "empty", "No request was sent in this run."));
    const range = `${grouped(first + 1)}–${grouped(last)} of ${grouped(ops.rows)} ${about.operations}`;
    byId("requests-range").textContent = ops.rows ? range : "";
    const current = rows[middle - first];
    if (current) box.scrollTop = current.offsetTop - box.offsetTop - box.clientHeight / 3;
  }

  function requestRow(state, row) {
    const { ops, nodes, names } = state.data;
    const sent = sentText(state.data, row);
    const received = receivedText(state.data, row);
    const made = element(
      "div",
      "row",
      element("time", "", seconds(ops.start_s[row], true)),
      element("span", "node", nodes[ops.node[row]]?.name ?? "–"),
      element("span", "", sent),
      element("span", names.outcome[ops.outcome[row]], received),
    );
    made.classList.toggle("current", row === state.selected.row);
    made.classList.toggle("bad", Boolean(state.violating[row]));
    made.classList.toggle("observation", state.isObservation[ops.lane[row]]);
    made.title = `${sent}\n→ ${received}`;
    made.onclick = () => selectRow(state, row, { keepView: false });
    return made;
  }

  function sentText({ ops, strings, names }, row) {
    if (ops.sent[row]) return oneLine(strings[ops.sent[row]]);
    const verb = names.verb[ops.verb[row]];
    const value = /put|cas|append/.test(verb) ? textOfValue(strings, ops.value[row]) : "";
    return `${verb} ${strings[ops.key[row]]} ${value}`;
  }

  function receivedText({ ops, strings, names }, row) {
    if (ops.received[row]) return oneLine(strings[ops.received[row]]);
    const outcome = names.outcome[ops.outcome[row]];
    const verb = names.verb[ops.verb[row]];
    if (verb in NOT_FOUND && outcome === "ok") return NOT_FOUND[verb];
    if (ops.sent[row] || outcome !== "ok") return names.reason[ops.reason[row]] || outcome;
    return textOfValue(strings, ops.value[row]) || "–";
  }

  // Nothing when it is absent; the empty string is a value.
  const textOfValue = (strings, number) => (number ? strings[number] || '""' : "");

  return { showOperation, showRequests };
})();
