// State, and what changes it. One object; whoever changes it asks for a repaint, and frames are drawn once.

const LEAST_VIEW_S = 20e-6;

function start() {
  const data = unpack(byId("data").textContent);
  const state = {
    data, canvas: byId("film"), overview: byId("overview"), charts: byId("charts"),
    selected: { row: -1, at_s: null }, hits: null, proving: null, found: [], place: -1, term: "", error: -1, hover: null, compress: true,
    looks: data.lanes.map((lane) => lane.kind === "looks"), loads: data.lanes.map((lane) => lane.kind === "load"), violating: new Uint8Array(data.ops.rows),
  };
  for (const violation of data.violations) for (const row of violation.operations) state.violating[row] = 1;
  state.layout = makeLanes(data);
  state.logs = joinLogs(data);
  setTheme(state, matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  setClock(state);
  setView(state, 0, state.clock.length);
  showHead(state);
  showJudged(state);
  showMoment(state);
  listen(state);
  listenToKeys(state);
  byId("error").disabled = !errors(state).length;
  window.film = { state, rows: data.ops.rows, choose: (row) => choose(state, row, { keepView: false }), paint: () => paintAll(state) };
}

function setClock(state) {
  state.clock = makeClock(state.data, state.compress);
  const { ops } = state.data;
  state.begin_f = Float64Array.from(ops.start_s, state.clock.toFilm);
  state.end_f = Float64Array.from(ops.end_s, state.clock.toFilm);
}

function setView(state, begin, end) {
  const length = Math.min(state.clock.length * 1.02, Math.max(LEAST_VIEW_S, end - begin));
  const margin = state.clock.length * 0.01;
  const from = Math.min(Math.max(begin, -margin), state.clock.length + margin - length);
  state.view = { begin: from, end: from + length };
  repaint(state);
}

function zoom(state, factor, at) {
  const { begin, end } = state.view;
  const still = at ?? centre(state);
  setView(state, still - (still - begin) * factor, still + (end - still) * factor);
}

// Zooming by key keeps the chosen moment in place when it can be seen.
function centre(state) {
  const { begin, end } = state.view;
  const chosen = state.selected.row >= 0 ? state.begin_f[state.selected.row] : state.selected.at_s !== null ? state.clock.toFilm(state.selected.at_s) : NaN;
  return chosen >= begin && chosen <= end ? chosen : (begin + end) / 2;
}

function pan(state, share) {
  const { begin, end } = state.view;
  setView(state, begin + (end - begin) * share, end + (end - begin) * share);
}

function repaint(state) {
  if (state.waiting) return;
  state.waiting = true;
  requestAnimationFrame(() => paintAll(state));
}

function paintAll(state) {
  state.waiting = false;
  paintOverview(state);
  paintFilm(state);
  paintCharts(state);
}

// --- choosing ---------------------------------------------------------------------------------------------------------

function choose(state, row, { keepView }) {
  if (!state.proving?.has(row)) state.proving = null;
  state.selected = { row, at_s: row >= 0 ? state.data.ops.start_s[row] : null };
  if (row >= 0 && !keepView) bringIntoView(state, state.begin_f[row], state.end_f[row]);
  showMoment(state);
  repaint(state);
}

function chooseTime(state, at_s, { keepView = true } = {}) {
  state.proving = null;
  state.selected = { row: -1, at_s };
  if (!keepView) bringIntoView(state, state.clock.toFilm(at_s), state.clock.toFilm(at_s));
  showMoment(state);
  repaint(state);
}

function showMoment(state) {
  showOperation(state);
  showWire(state);
  showLogs(state);
}

// Move as little as needed; zoom in when the operation would be thinner than a hair, out when it does not fit.
function bringIntoView(state, begin, end) {
  const { view } = state;
  const length = view.end - view.begin;
  const took = end - begin;
  const wanted = took > length * 0.8 ? took * 1.6 : took > 0 && took < length / 400 ? Math.max(took * 60, length / 40) : length;
  if (wanted === length && begin > view.begin + length * 0.05 && end < view.end - length * 0.05) return;
  setView(state, (begin + end) / 2 - wanted / 2, (begin + end) / 2 + wanted / 2);
}

function stepOperation(state, by, inLane = false) {
  const { row } = state.selected;
  const { ops } = state.data;
  if (!ops.rows) return;
  const rows = inLane && row >= 0 ? state.layout.lanes.filter((lane) => lane.kind === "client")[ops.lane[row]].rows : null;
  const length = rows ? rows.length : ops.rows;
  const place = row < 0 ? (by > 0 ? -1 : length) : rows ? rows.indexOf(row) : row;
  const next = Math.min(length - 1, Math.max(0, place + by));
  choose(state, rows ? rows[next] : next, { keepView: false });
}

// --- errors -----------------------------------------------------------------------------------------------------------

// In order of time: what checks found, then nodes that failed on their own.
function errors(state) {
  const { data } = state;
  const found = data.violations.map((violation) => ({ violation, at_s: violation.operations.length ? data.ops.start_s[violation.operations[0]] : violation.at_s }));
  for (const event of data.events) if (event.bad) found.push({ event, at_s: event.at_s });
  return found.filter((one) => one.at_s !== null && one.at_s !== undefined).sort((one, other) => one.at_s - other.at_s);
}

function nextError(state) {
  const all = errors(state);
  if (!all.length) return;
  state.error = (state.error + 1) % all.length;
  const { violation, at_s } = all[state.error];
  if (violation) showViolation(state, violation);
  else chooseTime(state, at_s, { keepView: false });
  byId("error").textContent = all.length > 1 ? `Error ${state.error + 1} of ${all.length}` : "First error";
}

// All operations of a finding in view, the last of them chosen: it is the one that shows what is wrong.
function showViolation(state, violation) {
  const rows = violation.operations;
  if (!rows.length) return violation.at_s === null ? undefined : chooseTime(state, violation.at_s, { keepView: false });
  const begin = Math.min(...rows.map((row) => state.begin_f[row]));
  const end = Math.max(...rows.map((row) => state.end_f[row]));
  const margin = Math.max((end - begin) * 0.25, state.clock.length / 100);
  state.proving = new Set(rows);
  setView(state, begin - margin, end + margin);
  choose(state, rows.at(-1), { keepView: true });
  scrollToFilm();
}

function showStretch(state, begin_s, end_s) {
  const [begin, end] = [state.clock.toFilm(begin_s), state.clock.toFilm(end_s)];
  const margin = Math.max((end - begin) * 0.15, LEAST_VIEW_S);
  setView(state, begin - margin, end + margin);
  chooseTime(state, begin_s);
  scrollToFilm();
}

const scrollToFilm = () => byId("stage").parentElement.scrollIntoView({ block: "nearest" });

// --- switches ---------------------------------------------------------------------------------------------------------

function toggleIdle(state) {
  const [begin, end] = [state.clock.toReal(Math.max(0, state.view.begin)), state.clock.toReal(state.view.end)];
  const whole = state.view.end - state.view.begin >= state.clock.length;
  state.compress = !state.compress;
  setClock(state);
  byId("idle").setAttribute("aria-pressed", String(state.compress));
  setView(state, whole ? 0 : state.clock.toFilm(begin), whole ? state.clock.length : state.clock.toFilm(end));
}

function setTheme(state, theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
  showLegend();
  if (state.view) repaint(state);
}

const toggleTheme = (state) => setTheme(state, document.documentElement.dataset.theme === "dark" ? "light" : "dark");

// --- the mouse --------------------------------------------------------------------------------------------------------

function listen(state) {
  byId("in").onclick = () => zoom(state, 0.5);
  byId("out").onclick = () => zoom(state, 2);
  byId("fit").onclick = () => setView(state, 0, state.clock.length);
  byId("idle").onclick = () => toggleIdle(state);
  byId("theme").onclick = () => toggleTheme(state);
  byId("help").onclick = () => toggleHelp();
  byId("error").onclick = () => nextError(state);
  byId("next").onclick = () => goToHit(state, 1);
  byId("previous").onclick = () => goToHit(state, -1);
  byId("search").oninput = (event) => {
    search(state, event.target.value);
    showHits(state);
    repaint(state);
  };
  new ResizeObserver(() => repaint(state)).observe(byId("stage"));
  for (const canvas of [state.canvas, state.charts]) listenToCanvas(state, canvas);
  listenToOverview(state);
  listenToPrinting(state);
}

function listenToCanvas(state, canvas) {
  let from = null;
  let moved = false;
  canvas.onpointerdown = (event) => {
    from = { x: event.offsetX, view: state.view };
    moved = false;
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = (event) => {
    if (!from) return showTip(state, canvas, event);
    moved ||= Math.abs(event.offsetX - from.x) > 3;
    if (!moved) return;
    canvas.classList.add("dragging");
    const shift = ((from.x - event.offsetX) / (canvas.clientWidth - GUTTER)) * (from.view.end - from.view.begin);
    setView(state, from.view.begin + shift, from.view.end + shift);
  };
  canvas.onpointerup = (event) => {
    canvas.classList.remove("dragging");
    if (from && !moved) click(state, canvas, event);
    from = null;
  };
  canvas.onpointercancel = () => (from = null);
  canvas.onpointerleave = () => hideTip(state);
  canvas.ondblclick = (event) => zoom(state, 0.4, filmOfX(state, canvas.clientWidth, event.offsetX));
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) zoom(state, Math.exp(event.deltaY * 0.004), filmOfX(state, canvas.clientWidth, event.offsetX));
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(state, (event.deltaX || event.deltaY) / 1200);
    else return;
    event.preventDefault();
  }, { passive: false });
}

function click(state, canvas, event) {
  if (event.offsetX < GUTTER) return;
  const hit = canvas === state.canvas ? under(state, event.offsetX, event.offsetY) : null;
  if (hit?.row !== undefined) choose(state, hit.row, { keepView: true });
  else chooseTime(state, state.clock.toReal(Math.max(0, filmOfX(state, canvas.clientWidth, event.offsetX))));
}

// What is under the mouse: an operation, a step, a fault, an event, or nothing but a lane.
function under(state, x, y) {
  const lane = state.layout.lanes.find((one) => y >= one.y && y < one.y + one.height);
  if (!lane) return null;
  const width = state.canvas.clientWidth;
  const film = filmOfX(state, width, x);
  const near = ((state.view.end - state.view.begin) / (width - GUTTER)) * 5;
  const time = state.clock.toReal(Math.max(0, film));
  const event = lane.events?.find((one) => Math.abs(state.clock.toFilm(one.at_s) - film) < near);
  if (event) return { lane, event };
  if (lane.kind === "steps") return { lane, step: lane.steps.find((step) => step.begin_s <= time && time <= (step.end_s ?? Infinity)) };
  if (lane.kind === "fault") return { lane, fault: lane.faults.find((fault) => fault.begin_s <= time && time <= (fault.end_s ?? Infinity)) };
  if (lane.kind === "node" && y < lane.y + 22) return { lane, role: lane.roles.findLast((role) => role.begin_s <= time) };
  return { lane, row: nearestRow(state, lane, film, near) };
}

function nearestRow(state, lane, film, near) {
  const place = lowerBound(lane.rows.length, (n) => state.begin_f[lane.rows[n]], film);
  let best;
  let least = near;
  for (let n = Math.max(0, place - 3); n < Math.min(lane.rows.length, place + 3); n++) {
    const row = lane.rows[n];
    const away = film < state.begin_f[row] ? state.begin_f[row] - film : Math.max(0, film - state.end_f[row]);
    if (away <= least) [best, least] = [row, away];
  }
  return best;
}

function showTip(state, canvas, event) {
  const hit = canvas === state.canvas && event.offsetX >= GUTTER ? under(state, event.offsetX, event.offsetY) : null;
  const text = hit ? tipText(state, hit) : "";
  state.hover = hit;
  const tip = byId("tip");
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const box = tip.parentElement.getBoundingClientRect();
  const left = event.clientX - box.left + 14;
  tip.style.left = `${Math.max(4, left + tip.offsetWidth > box.width ? left - tip.offsetWidth - 28 : left)}px`;
  tip.style.top = `${event.clientY - box.top + 16}px`;
}

function hideTip(state) {
  state.hover = null;
  byId("tip").hidden = true;
}

function tipText(state, { row, event, step, fault, role }) {
  if (row !== undefined) return operationTip(state.data, row);
  if (event) return `${event.node ?? ""} ${event.text}\n${seconds(event.at_s, true)}`;
  if (step) return `${step.id} ${step.text}\n${step.result || "unfinished"}${step.why ? `: ${step.why}` : ""}`;
  if (fault) return faultTip(fault);
  if (role) return `${role.how} ${role.role || "nothing"}${role.epoch ? `, epoch ${role.epoch}` : ""}, since ${seconds(role.begin_s, true)}`;
  return "";
}

function faultTip(fault) {
  const healed = fault.healed === null ? "never healed: the run ended inside it" : fault.healed ? "healed" : "not healed";
  const lines = [fault.name, `${seconds(fault.begin_s, true)} to ${seconds(fault.end_s, true)}, ${healed}`];
  if (!fault.bit) lines.push("NO RECEIPT: nothing shows that it bit");
  return [...lines, ...fault.receipts.map((one) => `receipt: ${one}`), ...fault.healing.map((one) => `healing: ${one}`)].join("\n");
}

function operationTip(data, row) {
  const { ops, names, strings } = data;
  const reason = names.reason[ops.reason[row]];
  const received = ops.received[row] ? oneLine(strings[ops.received[row]]) : ops.value[row] ? strings[ops.value[row]] : "";
  const took = ops.took_us[row] === NEVER_US ? "never returned" : seconds(ops.took_us[row] / 1e6);
  return `${title(data, row)}\n${names.outcome[ops.outcome[row]]}${reason ? ` (${reason})` : ""}${received ? `: ${received.slice(0, 200)}` : ""}\n${seconds(ops.start_s[row], true)}, ${took}`;
}

function listenToOverview(state) {
  const canvas = state.overview;
  let holding = false;
  const centreAt = (event) => {
    const middle = ((event.offsetX - GUTTER) / (canvas.clientWidth - GUTTER)) * state.clock.length;
    const half = (state.view.end - state.view.begin) / 2;
    setView(state, middle - half, middle + half);
  };
  canvas.onpointerdown = (event) => {
    holding = true;
    canvas.classList.add("dragging");
    canvas.setPointerCapture(event.pointerId);
    centreAt(event);
  };
  canvas.onpointermove = (event) => holding && centreAt(event);
  canvas.onpointerup = () => {
    holding = false;
    canvas.classList.remove("dragging");
  };
}

// Paper is white: the lanes are drawn in light colours for as long as the page is printed.
function listenToPrinting(state) {
  let before = null;
  window.addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme;
    setTheme(state, "light");
    paintAll(state);
  });
  window.addEventListener("afterprint", () => before && setTheme(state, before));
}

start();
