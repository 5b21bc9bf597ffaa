// Changes of the state: the visible period and the selection. Every change requests a frame;
// `state.draw` draws it, and `state.showSelection` fills the tables of the selection. main.js sets
// both.

timeline.view = (() => {
  const { byId } = timeline.dom;
  const { makeClock } = timeline.clock;

  // In shown seconds.
  const VIEW_MIN_S = 20e-6;

  function setClock(state) {
    state.clock = makeClock(state.data, state.compress);
    const { ops } = state.data;
    state.shownBegin = Float64Array.from(ops.start_s, state.clock.toShown);
    state.shownEnd = Float64Array.from(ops.end_s, state.clock.toShown);
  }

  // The visible period, in shown seconds.
  function setView(state, begin, end) {
    const length = Math.min(state.clock.length * 1.02, Math.max(VIEW_MIN_S, end - begin));
    const margin = state.clock.length * 0.01;
    const from = Math.min(Math.max(begin, -margin), state.clock.length + margin - length);
    state.view = { begin: from, end: from + length };
    requestDraw(state);
  }

  const fit = (state) => setView(state, 0, state.clock.length);

  // `anchor` is the shown time that keeps its position.
  function zoom(state, factor, anchor = defaultAnchor(state)) {
    const { begin, end } = state.view;
    setView(state, anchor - (anchor - begin) * factor, anchor + (end - anchor) * factor);
  }

  // The selection where it is visible, otherwise the centre.
  function defaultAnchor(state) {
    const { begin, end } = state.view;
    const { row, at_s } = state.selected;
    const selected =
      row >= 0 ? state.shownBegin[row] : at_s === null ? NaN : state.clock.toShown(at_s);
    return selected >= begin && selected <= end ? selected : (begin + end) / 2;
  }

  function pan(state, share) {
    const { begin, end } = state.view;
    setView(state, begin + (end - begin) * share, end + (end - begin) * share);
  }

  function requestDraw(state) {
    if (state.frameRequested) return;
    state.frameRequested = true;
    requestAnimationFrame(() => {
      state.frameRequested = false;
      state.draw();
    });
  }

  function selectRow(state, row, { keepView }) {
    if (!state.highlighted?.has(row)) state.highlighted = null;
    state.selected = { row, at_s: row >= 0 ? state.data.ops.start_s[row] : null };
    if (row >= 0 && !keepView) bringIntoView(state, state.shownBegin[row], state.shownEnd[row]);
    state.showSelection();
    requestDraw(state);
  }

  function selectTime(state, at_s, { keepView = true } = {}) {
    state.highlighted = null;
    state.selected = { row: -1, at_s };
    const shown = state.clock.toShown(at_s);
    if (!keepView) bringIntoView(state, shown, shown);
    state.showSelection();
    requestDraw(state);
  }

  // Move only as far as needed. Zoom in when the operation would be too thin to be visible, out when it
  // does not fit.
  function bringIntoView(state, begin, end) {
    const { view } = state;
    const length = view.end - view.begin;
    const took = end - begin;
    let newLength = length;
    if (took > length * 0.8) newLength = took * 1.6;
    else if (took > 0 && took < length / 400) newLength = Math.max(took * 60, length / 40);
    const margin = length * 0.05;
    const visible = begin > view.begin + margin && end < view.end - margin;
    if (newLength === length && visible) return;
    const middle = (begin + end) / 2;
    setView(state, middle - newLength / 2, middle + newLength / 2);
  }

  // The next operation (`by` 1) or the one before (-1), in time or within the lane.
  function stepOperation(state, by, inLane = false) {
    const { row } = state.selected;
    const { ops } = state.data;
    if (!ops.rows) return;
    const rows = inLane && row >= 0 ? clientLane(state, row).rows : null;
    const length = rows ? rows.length : ops.rows;
    const current = rows ? rows.indexOf(row) : row >= 0 ? row : by > 0 ? -1 : length;
    const next = Math.min(length - 1, Math.max(0, current + by));
    selectRow(state, rows ? rows[next] : next, { keepView: false });
  }

  // The lane of the client that made an operation.
  const clientLane = (state, row) =>
    state.layout.lanes.filter((lane) => lane.kind === "client")[state.data.ops.lane[row]];

  // Findings of checks and failures of nodes, in order of time.
  function errors(state) {
    const { data } = state;
    const found = data.violations.map((violation) => ({
      violation,
      at_s: violation.operations.length
        ? data.ops.start_s[violation.operations[0]]
        : violation.at_s,
    }));
    for (const event of data.events) if (event.bad) found.push({ event, at_s: event.at_s });
    return found
      .filter((error) => error.at_s !== null && error.at_s !== undefined)
      .sort((left, right) => left.at_s - right.at_s);
  }

  function nextError(state) {
    const all = errors(state);
    if (!all.length) return;
    state.errorIndex = (state.errorIndex + 1) % all.length;
    const { violation, at_s } = all[state.errorIndex];
    if (violation) showViolation(state, violation);
    else selectTime(state, at_s, { keepView: false });
    const several = `Error ${state.errorIndex + 1} of ${all.length}`;
    byId("error").textContent = all.length > 1 ? several : "First error";
  }

  // Show all operations of a finding, and select the one that cannot be placed; where that is not
  // known, the last one.
  function showViolation(state, violation) {
    const rows = violation.operations;
    if (!rows.length) {
      if (violation.at_s !== null) selectTime(state, violation.at_s, { keepView: false });
      return;
    }
    const begin = Math.min(...rows.map((row) => state.shownBegin[row]));
    const end = Math.max(...rows.map((row) => state.shownEnd[row]));
    const margin = Math.max((end - begin) * 0.25, state.clock.length / 100);
    state.highlighted = new Set(rows);
    setView(state, begin - margin, end + margin);
    selectRow(state, violation.blocked ?? rows.at(-1), { keepView: true });
    scrollToTimeline();
  }

  function showPeriod(state, begin_s, end_s) {
    const [begin, end] = [state.clock.toShown(begin_s), state.clock.toShown(end_s)];
    const margin = Math.max((end - begin) * 0.15, VIEW_MIN_S);
    setView(state, begin - margin, end + margin);
    selectTime(state, begin_s);
    scrollToTimeline();
  }

  const scrollToTimeline = () => byId("stage").parentElement.scrollIntoView({ block: "nearest" });

  // Compress idle time or show it in full, and keep the visible period.
  function toggleIdle(state) {
    const { clock, view } = state;
    const [begin, end] = [clock.toReal(Math.max(0, view.begin)), clock.toReal(view.end)];
    const whole = view.end - view.begin >= clock.length;
    state.compress = !state.compress;
    setClock(state);
    byId("idle").setAttribute("aria-pressed", String(state.compress));
    if (whole) fit(state);
    else setView(state, state.clock.toShown(begin), state.clock.toShown(end));
  }

  return {
    setClock,
    setView,
    fit,
    zoom,
    pan,
    requestDraw,
    selectRow,
    selectTime,
    stepOperation,
    clientLane,
    errors,
    nextError,
    showViolation,
    showPeriod,
    toggleIdle,
  };
})();
