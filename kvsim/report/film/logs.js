// Every node's log, side by side, at the chosen moment. A line's time is when it had been seen, not what the node's clock said.

const LINES_AROUND = 250;
const LOOKS_EVERY_S = 0.25; // logs are looked at ten times a second, late on a busy machine; growth is noted, its absence is not

// Each node's lines over all its starts, with a note where a start begins. Made once.
function joinLogs(data) {
  return data.nodes.map((node) => {
    const lines = [];
    for (const log of data.logs.filter((one) => one.node === node.name)) {
      const spawn = data.alive.find((one) => one.node === log.node && one.incarnation === log.incarnation);
      const left = log.left_out_bytes ? `; its first ${log.left_out_bytes.toLocaleString("en")} bytes are left out here` : "";
      lines.push({ note: true, text: `start ${log.incarnation}: ${log.file}${left}`, before_s: spawn?.begin_s ?? 0, seen_s: spawn?.begin_s ?? 0 });
      let before = spawn?.begin_s ?? 0;
      log.lines.forEach((text, place) => {
        const seen = log.seen_s[place];
        if (place && seen !== log.seen_s[place - 1]) before = log.seen_s[place - 1];
        lines.push({ text, before_s: Math.max(before, seen - LOOKS_EVERY_S), seen_s: seen, node: node.name });
      });
    }
    return { node, lines };
  });
}

function showLogs(state) {
  const [from, to] = momentOf(state);
  byId("logs-where").textContent = from === null ? "" : `around ${seconds(from, true)}; marked: written at that moment`;
  const boxes = state.logs.map(({ node, lines }) => logBox(state, node, lines, from, to));
  fill(byId("logs"), ...boxes.map((box) => box.whole));
  for (const box of boxes) if (box.now) box.list.scrollTop = box.now.offsetTop - box.list.clientHeight / 2;
}

function momentOf(state) {
  const { row, at_s } = state.selected;
  return row >= 0 ? [state.data.ops.start_s[row], state.data.ops.end_s[row]] : [at_s, at_s];
}

function logBox(state, node, lines, from, to) {
  const middle = from === null ? 0 : lowerBound(lines.length, (n) => lines[n].seen_s, from);
  const first = Math.max(0, middle - LINES_AROUND);
  const last = Math.min(lines.length, middle + LINES_AROUND);
  const key = state.selected.row >= 0 ? state.data.strings[state.data.ops.key[state.selected.row]] : "";
  const list = element("div", "lines");
  let now = null;
  if (first) list.append(element("div", "line note", `${first.toLocaleString("en")} lines before`));
  for (let place = first; place < last; place++) {
    const line = lines[place];
    const made = element("div", "line", ...marked(line.text || " ", state.term || key));
    const atMoment = from !== null && !line.note && line.seen_s >= from && line.before_s <= to;
    made.classList.toggle("now", atMoment);
    made.classList.toggle("note", Boolean(line.note));
    made.classList.toggle("later", from !== null && !atMoment && line.seen_s > to);
    made.title = line.note ? "" : `seen by ${seconds(line.seen_s, true)}`;
    if (!line.note) made.onclick = () => chooseTime(state, line.seen_s);
    if ((atMoment && !now?.classList.contains("now")) || place === middle - 1) now = made;
    list.append(made);
  }
  if (last < lines.length) list.append(element("div", "line note", `${(lines.length - last).toLocaleString("en")} lines after`));
  if (!lines.length) list.append(element("div", "line note", "nothing was logged"));
  const head = element("h3", "", node.name, element("span", "", `${node.role || "no role"} · ${node.program}${node.pid ? ` · pid ${node.pid}` : ""}`));
  return { whole: element("div", "log", head, list), list, now };
}
