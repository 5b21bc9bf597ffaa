// Draw the lanes. Everything is drawn anew for each frame; only what can be seen is looked at.

const FONT = '12px "Inter", "Segoe UI", system-ui, -apple-system, "Helvetica Neue", "Liberation Sans", "DejaVu Sans", sans-serif';
const MONO = '11px ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace';
const MONO_WIDTH = 6.7;

// A canvas of the wanted size in CSS pixels, sharp on any screen.
function surface(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.parentElement.clientWidth - horizontalPadding(canvas.parentElement);
  const wanted = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wanted[0] || canvas.height !== wanted[1]) [canvas.width, canvas.height] = wanted;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = FONT;
  context.textBaseline = "middle";
  return { context, width, height };
}

function horizontalPadding(parent) {
  const style = getComputedStyle(parent);
  return parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
}

function paintFilm(state) {
  const { canvas, layout } = state;
  const draw = { ...surface(canvas, layout.height), colours: palette(), state };
  draw.x = (time) => xOfFilm(state, draw.width, state.clock.toFilm(time));
  draw.xf = (film) => xOfFilm(state, draw.width, film);
  paintGround(draw);
  clipped(draw, () => {
    paintGaps(draw, AXIS, layout.height);
    paintFaultShade(draw, AXIS, layout.height);
    for (const lane of layout.lanes) PAINT[lane.kind](draw, lane);
    paintMoment(draw);
  });
  paintAxis(draw);
  paintNames(draw);
}

const xOfFilm = (state, width, film) => GUTTER + ((film - state.view.begin) / (state.view.end - state.view.begin)) * (width - GUTTER);
const filmOfX = (state, width, x) => state.view.begin + ((x - GUTTER) / (width - GUTTER)) * (state.view.end - state.view.begin);

function clipped({ context, width, height }, body) {
  context.save();
  context.beginPath();
  context.rect(GUTTER, 0, width - GUTTER, height);
  context.clip();
  body();
  context.restore();
}

function paintGround({ context, width, colours, state }) {
  context.fillStyle = colours.lane;
  for (const lane of state.layout.lanes) if (lane.kind === "client" && !lane.small) context.fillRect(GUTTER, lane.y + 1, width - GUTTER, lane.height - 2);
}

function paintGaps({ context, colours, state, x }, top, bottom) {
  for (const gap of state.clock.gaps) {
    const left = x(gap.begin);
    const right = x(gap.end);
    if (right < GUTTER || left > context.canvas.width) continue;
    context.fillStyle = colours.gap;
    context.fillRect(left, top, right - left, bottom - top);
    context.strokeStyle = colours.faint;
    context.setLineDash([2, 3]);
    context.beginPath();
    for (const edge of [left, right]) {
      context.moveTo(Math.round(edge) + 0.5, top);
      context.lineTo(Math.round(edge) + 0.5, bottom);
    }
    context.stroke();
    context.setLineDash([]);
  }
}

function paintFaultShade({ context, colours, state, x }, top, bottom) {
  context.fillStyle = colours.faultTint;
  for (const fault of state.data.faults) {
    const left = x(fault.begin_s);
    context.fillRect(left, top, Math.max(1, x(fault.end_s ?? state.clock.end) - left), bottom - top);
  }
}

// Ticks at round times in each stretch that is not compressed; a compressed one says how long it was.
function paintAxis(draw) {
  const { context, width, colours, state, x } = draw;
  const { clock } = state;
  const step = niceStep((state.view.end - state.view.begin) / ((width - GUTTER) / 110));
  const edges = [0, ...clock.gaps.flatMap((gap) => [gap.begin, gap.end]), clock.end];
  let free = GUTTER - 20;
  context.textAlign = "center";
  for (const gap of clock.gaps) gapText(draw, x(gap.begin), x(gap.end), seconds(gap.length));
  for (let n = 0; n < edges.length; n += 2) {
    const from = Math.max(edges[n], clock.toReal(state.view.begin));
    const to = Math.min(edges[n + 1], clock.toReal(state.view.end));
    for (let time = Math.ceil(from / step - 1e-9) * step; time <= to + 1e-9; time += step) {
      const at = x(time);
      context.strokeStyle = colours.line;
      context.beginPath();
      context.moveTo(Math.round(at) + 0.5, AXIS - 5);
      context.lineTo(Math.round(at) + 0.5, state.layout.height);
      context.globalCompositeOperation = "destination-over";
      context.stroke();
      context.globalCompositeOperation = "source-over";
      if (at - free < 58 || at > width - 22) continue;
      context.fillStyle = colours.soft;
      context.fillText(tickText(time, step), at, 12);
      free = at;
    }
  }
}

// How long a compressed stretch was: with dots, without, or only the dots, whatever there is room for.
function gapText({ context, colours }, left, right, text) {
  const [from, to] = [Math.max(left, GUTTER), right];
  context.save();
  context.fillStyle = colours.soft;
  context.font = FONT.replace("12px", "10.5px");
  const fitting = [`⋯ ${text} ⋯`, text, "⋯"].find((one) => context.measureText(one).width < to - from - 2);
  if (fitting) context.fillText(fitting, (from + to) / 2, AXIS + 1);
  context.restore();
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
}

function tickText(time, step) {
  if (step >= 1) return `${Math.round(time)} s`;
  if (time >= 1 || step >= 0.1) return `${time.toFixed(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)))} s`;
  const ms = step * 1e3;
  return `${(time * 1e3).toFixed(Math.max(0, Math.ceil(-Math.log10(ms) - 1e-9)))} ms`;
}

function paintNames({ context, colours, state }) {
  context.textAlign = "left";
  for (const lane of state.layout.lanes) {
    if (lane.small && lane.name !== state.hover?.lane?.name) continue;
    context.fillStyle = lane.kind === "node" ? colours.ink : colours.soft;
    context.font = lane.kind === "node" ? FONT.replace("12px", "600 12.5px") : lane.height < 16 ? FONT.replace("12px", "10px") : FONT;
    context.fillText(lane.name, 2, lane.y + (lane.kind === "node" ? 12 : lane.height / 2));
    if (lane.kind !== "node" || lane.height < 40) continue;
    const node = state.data.nodes.find((one) => one.name === lane.name);
    context.font = FONT.replace("12px", "11px");
    context.fillStyle = colours.faint;
    context.fillText(node.program, 2, lane.y + 28);
  }
  context.font = FONT;
}

const PAINT = { steps: paintSteps, fault: paintFaults, client: paintOperations, node: paintNode };

function paintSteps({ context, colours, state, x }, lane) {
  context.font = MONO;
  for (const step of lane.steps) {
    const left = x(step.begin_s);
    const right = x(step.end_s ?? state.clock.end);
    if (right < GUTTER || left > context.canvas.width) continue;
    const width = Math.max(2, right - left - 1);
    context.fillStyle = colours.result[step.result] ?? colours.result[""];
    block(context, left, lane.y + 3, width, lane.height - 6, 3);
    const text = width > (step.text.length + step.id.length + 1) * MONO_WIDTH + 8 ? `${step.id} ${step.text}` : width > 90 ? `${step.id} ${step.verb} ${step.at}` : step.id;
    context.fillStyle = colours.resultInk[step.result] ?? colours.ink;
    label(context, text, Math.max(left, GUTTER) + 5, lane.y + lane.height / 2, right - 3);
  }
  context.font = FONT;
}

function paintFaults({ context, colours, state, x }, lane) {
  for (const fault of lane.faults) {
    const left = x(fault.begin_s);
    const right = x(fault.end_s ?? state.clock.end);
    context.fillStyle = colours.fault;
    context.globalAlpha = 0.16;
    block(context, left, lane.y + 2, Math.max(2, right - left), lane.height - 4, 3);
    context.globalAlpha = 1;
    context.fillRect(left, lane.y + 2, 2, lane.height - 4);
    const next = lane.faults.find((one) => one.begin_s > fault.begin_s);
    const limit = next ? x(next.begin_s) - 12 : Infinity;
    const receipt = fault.bit ? `  receipt: ${fault.receipts[0] ?? "yes"}` : "  no receipt";
    label(context, fault.name + receipt, Math.max(left, GUTTER) + 6, lane.y + lane.height / 2, Math.min(limit, Math.max(right, left + 260)));
  }
}

// Operations as bars; those that fall on the same pixel are drawn once, the worst outcome on top.
function paintOperations(draw, lane) {
  const { context, colours, state, xf } = draw;
  const { ops } = state.data;
  const inset = lane.small ? 1 : lane.looks ? 4 : 3;
  const height = lane.height - 2 * inset;
  let filledTo = -1;
  let worst = -1;
  for (let place = firstVisible(state, lane); place < lane.rows.length; place++) {
    const row = lane.rows[place];
    const left = xf(state.begin_f[row]);
    if (left > draw.width) break;
    const right = xf(state.end_f[row]);
    const outcome = ops.outcome[row];
    if (right < filledTo && outcome <= worst && !state.violating[row]) continue;
    context.globalAlpha = isFaint(state, row) ? 0.22 : lane.looks ? 0.6 : 1;
    if (outcome === 2) paintOpen(draw, lane, place, left, right, inset, height);
    else {
      context.fillStyle = colours.outcome[outcome];
      const width = Math.max(1.5, right - left - 0.5);
      width < 4 ? context.fillRect(left, lane.y + inset, width, height) : block(context, left, lane.y + inset, width, height, 2);
      if (width > 40 && height >= 11) barText(draw, row, left, right, lane);
    }
    if (state.violating[row] && !isFaint(state, row)) paintViolating(draw, left, right, lane.y + inset, height);
    filledTo = Math.floor(left) + 1;
    worst = outcome;
  }
  context.globalAlpha = 1;
}

// While a finding is shown, or something is searched, only its operations stand out.
const isFaint = (state, row) => Boolean((state.proving && !state.proving.has(row)) || (state.hits && !state.hits.has(row)));

function firstVisible(state, lane) {
  const place = lowerBound(lane.rows.length, (n) => state.begin_f[lane.rows[n]], state.view.begin);
  return Math.max(0, place - 1);
}

// Nobody knows whether it happened: a bar that is open to the right and fades into what came after.
function paintOpen({ context, colours, state, xf, width }, lane, place, left, right, inset, height) {
  const after = place + 1 < lane.rows.length ? xf(state.begin_f[lane.rows[place + 1]]) : width;
  const to = Math.max(left + 3, Math.min(Math.max(right + 34, left + 34), after - 1));
  const fade = context.createLinearGradient(left, 0, to, 0);
  fade.addColorStop(0, colours.outcome[2]);
  fade.addColorStop(Math.min(0.95, Math.max(0.3, (right - left) / (to - left))), colours.outcome[2]);
  fade.addColorStop(1, `${colours.outcome[2]}00`);
  context.strokeStyle = fade;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(to, lane.y + inset + 0.75);
  context.lineTo(left + 0.75, lane.y + inset + 0.75);
  context.lineTo(left + 0.75, lane.y + inset + height - 0.75);
  context.lineTo(to, lane.y + inset + height - 0.75);
  context.stroke();
  context.lineWidth = 1;
}

function barText({ context, colours, state }, row, left, right, lane) {
  context.font = MONO;
  context.fillStyle = colours.text[state.data.ops.outcome[row]];
  label(context, title(state.data, row), Math.max(left, GUTTER) + 4, lane.y + lane.height / 2, right - 2);
  context.font = FONT;
}

// What one operation was, in a few words.
function title(data, row) {
  const { ops, names, strings } = data;
  const node = data.nodes[ops.node[row]]?.name;
  const key = strings[ops.key[row]];
  return [names.verb[ops.verb[row]], key, node && `→ ${node}`].filter(Boolean).join(" ");
}

function paintViolating({ context, colours }, left, right, top, height) {
  context.globalAlpha = 1;
  context.strokeStyle = colours.bad;
  context.lineWidth = 2;
  context.strokeRect(left - 1, top - 1, Math.max(3, right - left) + 1, height + 2);
  context.lineWidth = 1;
  context.fillStyle = colours.bad;
  context.beginPath();
  context.moveTo(left + 1, top - 1);
  context.lineTo(left - 4, top - 8);
  context.lineTo(left + 6, top - 8);
  context.fill();
}

function paintNode(draw, lane) {
  const { context, colours, state, x, xf } = draw;
  const band = lane.height >= 40 ? 20 : 14;
  for (const life of lane.alive) {
    const left = x(life.begin_s);
    const right = x(life.end_s ?? state.clock.end);
    context.fillStyle = colours.dead;
    block(context, left, lane.y + 2, Math.max(2, right - left), band, 3);
    paintStarting(draw, lane, life, band);
    for (const role of lane.roles) paintRole(draw, lane, life, role, band);
  }
  let filledTo = -1;
  for (let place = firstVisible(state, lane); place < lane.rows.length; place++) {
    const row = lane.rows[place];
    const left = Math.floor(xf(state.begin_f[row]));
    if (left > draw.width) break;
    if (left === filledTo && state.data.ops.outcome[row] === 0) continue;
    filledTo = left;
    context.globalAlpha = isFaint(state, row) ? 0.22 : 1;
    context.fillStyle = colours.outcome[state.data.ops.outcome[row]];
    context.fillRect(left, lane.y + band + 4, 1.6, lane.height - band - 7);
  }
  context.globalAlpha = 1;
  for (const event of lane.events) paintEvent(draw, lane, event, band);
}

// From the start of the process until it was ready: hatched.
function paintStarting({ context, colours, state, x }, lane, life, band) {
  const left = x(life.begin_s);
  const right = x(life.ready_s ?? life.end_s ?? state.clock.end);
  context.save();
  context.beginPath();
  context.rect(left, lane.y + 2, right - left, band);
  context.clip();
  context.strokeStyle = colours.faint;
  context.beginPath();
  for (let at = Math.max(left, GUTTER) - band; at < Math.min(right, context.canvas.width); at += 6) {
    context.moveTo(at, lane.y + 2 + band);
    context.lineTo(at + band, lane.y + 2);
  }
  context.stroke();
  context.restore();
}

// A role is shown while its process lived; what it said is believed until it said otherwise.
function paintRole({ context, colours, state, x }, lane, life, role, band) {
  const begin = Math.max(role.begin_s, life.ready_s ?? Infinity);
  const end = Math.min(role.end_s ?? state.clock.end, life.end_s ?? state.clock.end);
  if (begin >= end) return;
  const left = x(begin);
  const right = x(end);
  context.fillStyle = colours.role[role.role] ?? colours.other;
  block(context, left, lane.y + 2, Math.max(1, right - left), band, 3);
  context.fillStyle = colours.roleInk[role.role] ?? colours.soft;
  label(context, [role.role || role.how || "no role", role.epoch && `epoch ${role.epoch}`].filter(Boolean).join(", "), Math.max(left, GUTTER) + 7, lane.y + 2 + band / 2, right - 4);
}

// A signal is a triangle, an end a square, trouble a cross; being ready is the line alone, a start the hatching.
function paintEvent({ context, colours, x }, lane, event, band) {
  const at = Math.round(x(event.at_s));
  if (at < GUTTER - 8 || at > context.canvas.width || event.kind === "spawn") return;
  const y = lane.y + band + 5;
  context.fillStyle = context.strokeStyle = event.bad ? colours.bad : colours.soft;
  context.fillRect(at - 0.5, lane.y, 1, band + 4);
  if (event.kind === "exit") context.fillRect(at - 3, y, 6, 6);
  else if (event.kind === "signal") triangle(context, at, y, 4.5, 6);
  else if (event.kind !== "ready") cross(context, at, y + 3, 3.5);
}

function triangle(context, x, y, half, height) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + half, y + height);
  context.lineTo(x - half, y + height);
  context.fill();
}

function cross(context, x, y, half) {
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x - half, y - half);
  context.lineTo(x + half, y + half);
  context.moveTo(x - half, y + half);
  context.lineTo(x + half, y - half);
  context.stroke();
  context.lineWidth = 1;
}

function paintMoment({ context, colours, state, x, xf, height }) {
  const { selected } = state;
  const at = selected.row >= 0 ? xf(state.begin_f[selected.row]) : selected.at_s !== null ? x(selected.at_s) : null;
  if (at === null) return;
  context.strokeStyle = colours.accent;
  context.beginPath();
  context.moveTo(Math.round(at) + 0.5, AXIS - 6);
  context.lineTo(Math.round(at) + 0.5, height);
  context.stroke();
  if (selected.row < 0) return;
  const lane = state.layout.lanes.filter((one) => one.kind === "client")[state.data.ops.lane[selected.row]];
  context.lineWidth = 2;
  context.strokeRect(at - 1, lane.y + 1, Math.max(4, xf(state.end_f[selected.row]) - at + 2), lane.height - 2);
  context.lineWidth = 1;
}

function block(context, left, top, width, height, radius) {
  context.beginPath();
  context.roundRect(left, top, width, height, Math.min(radius, width / 2));
  context.fill();
}

// Text from `left`, cut short with … before `limit`; nothing when there is no room for two letters.
function label(context, text, left, middle, limit) {
  const room = limit - left;
  const width = context.measureText(text).width;
  if (width <= room) return context.fillText(text, left, middle);
  const kept = Math.floor((text.length * room) / width) - 1;
  if (kept > 1) context.fillText(`${text.slice(0, kept)}…`, left, middle);
}
