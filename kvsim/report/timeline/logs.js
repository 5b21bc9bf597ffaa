// Every node's log, side by side, at the selected time. The time of a line is when kvsim observed
// it, not the node's own time stamp.

timeline.logs = (() => {
  const { byId, element, fill, focusable, marked, grouped } = timeline.dom;
  const { lowerBound } = timeline.decode;
  const { seconds } = timeline.clock;
  const { selectTime } = timeline.view;

  const LINES_AROUND = 250;
  // Logs are observed ten times per second, and later on a busy machine. A line was written at most
  // this long before its observation.
  const OBSERVED_WITHIN_S = 0.25;

  // Each node's lines over all its starts, with a note at each start.
  function joinLogs(data) {
    return data.nodes.map((node) => {
      const logs = data.logs.filter((log) => log.node === node.name);
      return { node, lines: logs.flatMap((log) => linesOf(data, log)) };
    });
  }

  function linesOf(data, log) {
    const started = data.incarnations.find(
      (span) => span.node === log.node && span.incarnation === log.incarnation,
    );
    const begin_s = started?.begin_s ?? 0;
    const leftOut = log.left_out_bytes
      ? `; its first ${grouped(log.left_out_bytes)} bytes are left out here`
      : "";
    const text = `start ${log.incarnation}: ${log.file}${leftOut}`;
    const lines = [{ note: true, text, after_s: begin_s, observed_s: begin_s }];
    let after_s = begin_s;
    log.lines.forEach((line, index) => {
      const observed_s = log.observed_s[index];
      const previous_s = log.observed_s[index - 1];
      if (index && observed_s !== previous_s) after_s = previous_s;
      const earliest_s = Math.max(after_s, observed_s - OBSERVED_WITHIN_S);
      lines.push({ text: line, after_s: earliest_s, observed_s, node: log.node });
    });
    return lines;
  }

  function showLogs(state) {
    byId("logs-box").hidden = !state.data.logs.length;
    const [from, to] = selectedPeriod(state);
    byId("logs-where").textContent =
      from === null ? "" : `around ${seconds(from, true)}; marked: written at that time`;
    const boxes = state.logs.map(({ node, lines }) => logBox(state, node, lines, from, to));
    fill(byId("logs"), ...boxes.map((box) => box.element));
    for (const { list, current } of boxes) {
      if (current) list.scrollTop = current.offsetTop - list.clientHeight / 2;
    }
  }

  function selectedPeriod(state) {
    const { row, at_s } = state.selected;
    return row >= 0 ? [state.data.ops.start_s[row], state.data.ops.end_s[row]] : [at_s, at_s];
  }

  function logBox(state, node, lines, from, to) {
    const observedAt = (index) => lines[index].observed_s;
    const middle = from === null ? 0 : lowerBound(lines.length, observedAt, from);
    const first = Math.max(0, middle - LINES_AROUND);
    const last = Math.min(lines.length, middle + LINES_AROUND);
    const list = element("div", "lines");
    focusable(list, `The log of ${node.name}`);
    const note = (text) => list.append(element("div", "line note", text));
    let current = null;
    if (first) note(`${grouped(first)} lines before`);
    for (let index = first; index < last; index++) {
      const made = lineElement(state, lines[index], from, to);
      const isCurrent = made.classList.contains("current");
      const firstCurrent = isCurrent && !current?.classList.contains("current");
      if (firstCurrent || index === middle - 1) current = made;
      list.append(made);
    }
    if (last < lines.length) note(`${grouped(lines.length - last)} lines after`);
    if (!lines.length) note("nothing was logged");
    const pid = node.pid ? ` · pid ${node.pid}` : "";
    const about = element("span", "", `${node.role || "no role"} · ${node.program}${pid}`);
    const head = element("h3", "", node.name, about);
    return { element: element("div", "log", head, list), list, current };
  }

  function lineElement(state, line, from, to) {
    const { row } = state.selected;
    const key = row >= 0 ? state.data.strings[state.data.ops.key[row]] : "";
    const made = element("div", "line", ...marked(line.text || " ", state.term || key));
    const isCurrent = from !== null && !line.note && line.observed_s >= from && line.after_s <= to;
    made.classList.toggle("current", isCurrent);
    made.classList.toggle("note", Boolean(line.note));
    made.classList.toggle("later", from !== null && !isCurrent && line.observed_s > to);
    made.title = line.note ? "" : `observed by ${seconds(line.observed_s, true)}`;
    if (!line.note) made.onclick = () => selectTime(state, line.observed_s);
    return made;
  }

  return { joinLogs, showLogs };
})();
