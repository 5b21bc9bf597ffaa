// Draws the lanes. Each frame is drawn as a whole, but only what is visible is read.
//
// A `drawing` is the canvas context with its size, the colours, the state, and functions from time
// to x: `x` for real time, `xOf` for shown time.

timeline.draw = (() => {
  const { OK, UNKNOWN, lowerBound } = timeline.decode;
  const { seconds, tickText } = timeline.clock;
  const { GUTTER, AXIS } = timeline.lanes;
  const { palette } = timeline.colours;
  const { clientLane } = timeline.view;

  const SANS =
    '"Inter", "Segoe UI", system-ui, -apple-system, "Helvetica Neue", "Liberation Sans", ' +
    '"DejaVu Sans", sans-serif';
  const font = (size, weight = "") => `${weight} ${size}px ${SANS}`.trim();
  const FONT = font(12);
  const MONO =
    '11px ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace';
  const MONO_WIDTH = 6.7;
  const DIMMED = 0.22;

  // Prepare a canvas of the given height in CSS pixels, sharp on any screen.
  function prepare(canvas, height) {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.parentElement.clientWidth - horizontalPadding(canvas.parentElement);
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
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

  // A drawing whose time axis is the visible period.
  function drawingOf(state, canvas, height) {
    const prepared = prepare(canvas, height);
    const xOf = (shown) => xOfShown(state, prepared.width, shown);
    return {
      ...prepared,
      colours: palette(),
      state,
      xOf,
      x: (time) => xOf(state.clock.toShown(time)),
    };
  }

  function drawTimeline(state) {
    const { canvas, layout } = state;
    const drawing = drawingOf(state, canvas, layout.height);
    drawLaneBackgrounds(drawing);
    clipped(drawing, () => {
      drawGaps(drawing, AXIS, layout.height);
      drawFaultShades(drawing, AXIS, layout.height);
      for (const lane of layout.lanes) DRAW_LANE[lane.kind](drawing, lane);
      drawSelection(drawing);
    });
    drawAxis(drawing);
    drawNames(drawing);
  }

  const perShown = (state, width) => (width - GUTTER) / (state.view.end - state.view.begin);
  const xOfShown = (state, width, shown) =>
    GUTTER + (shown - state.view.begin) * perShown(state, width);
  const shownOfX = (state, width, x) => state.view.begin + (x - GUTTER) / perShown(state, width);

  // Draw to the right of the names only.
  function clipped({ context, width, height }, body) {
    context.save();
    context.beginPath();
    context.rect(GUTTER, 0, width - GUTTER, height);
    context.clip();
    body();
    context.restore();
  }

  function drawLaneBackgrounds({ context, width, colours, state }) {
    context.fillStyle = colours.lane;
    for (const lane of state.layout.lanes) {
      if (lane.kind !== "client" || lane.small) continue;
      context.fillRect(GUTTER, lane.y + 1, width - GUTTER, lane.height - 2);
    }
  }

  function drawGaps({ context, colours, state, x }, top, bottom) {
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

  function drawFaultShades({ context, colours, state, x }, top, bottom) {
    context.fillStyle = colours.faultTint;
    for (const fault of state.data.faults) {
      const left = x(fault.begin_s);
      const right = x(fault.end_s ?? state.clock.end);
      context.fillRect(left, top, Math.max(1, right - left), bottom - top);
    }
  }

  // Ticks at round times in each stretch that is not compressed; a compressed one shows its length.
  function drawAxis(drawing) {
    const { context, width, state, x } = drawing;
    const { clock, view } = state;
    const step = roundStep((view.end - view.begin) / ((width - GUTTER) / 110));
    const edges = [0, ...clock.gaps.flatMap((gap) => [gap.begin, gap.end]), clock.end];
    let lastLabel = GUTTER - 20;
    context.textAlign = "center";
    for (const gap of clock.gaps)
      drawGapLength(drawing, x(gap.begin), x(gap.end), seconds(gap.length));
    for (let index = 0; index < edges.length; index += 2) {
      const from = Math.max(edges[index], clock.toReal(view.begin));
      const to = Math.min(edges[index + 1], clock.toReal(view.end));
      for (let time = Math.ceil(from / step - 1e-9) * step; time <= to + 1e-9; time += step) {
        const at = x(time);
        const fits = at - lastLabel >= 58 && at <= width - 22;
        drawTick(drawing, at, fits ? tickText(time, step) : "");
        if (fits) lastLabel = at;
      }
    }
  }

  function drawTick({ context, colours, state }, at, text) {
    context.strokeStyle = colours.line;
    context.beginPath();
    context.moveTo(Math.round(at) + 0.5, AXIS - 5);
    context.lineTo(Math.round(at) + 0.5, state.layout.height);
    context.globalCompositeOperation = "destination-over";
    context.stroke();
    context.globalCompositeOperation = "source-over";
    context.fillStyle = colours.soft;
    if (text) context.fillText(text, at, 12);
  }

  // The length of a compressed stretch: with dots, without, or only dots, as the width allows.
  function drawGapLength({ context, colours }, left, right, text) {
    const [from, to] = [Math.max(left, GUTTER), right];
    context.save();
    context.fillStyle = colours.soft;
    context.font = font(10.5);
    const fits = (candidate) => context.measureText(candidate).width < to - from - 2;
    const fitting = [`⋯ ${text} ⋯`, text, "⋯"].find(fits);
    if (fitting) context.fillText(fitting, (from + to) / 2, AXIS + 1);
    context.restore();
  }

  function roundStep(rough) {
    const power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  }

  function drawNames({ context, colours, state }) {
    context.textAlign = "left";
    for (const lane of state.layout.lanes) {
      if (lane.small && lane.name !== state.hover?.lane?.name) continue;
      if (lane.kind === "node") drawNodeName(context, colours, state, lane);
      else {
        context.fillStyle = colours.soft;
        context.font = lane.height < 16 ? font(10) : FONT;
        context.fillText(lane.name, 2, lane.y + lane.height / 2);
      }
    }
    context.font = FONT;
  }

  function drawNodeName(context, colours, state, lane) {
    context.fillStyle = colours.ink;
    context.font = font(12.5, "600");
    context.fillText(lane.name, 2, lane.y + 12);
    if (lane.height < 40) return;
    const node = state.data.nodes.find((candidate) => candidate.name === lane.name);
    context.font = font(11);
    context.fillStyle = colours.faint;
    context.fillText(node.program, 2, lane.y + 28);
  }

  const DRAW_LANE = {
    steps: drawSteps,
    fault: drawFaults,
    client: drawOperations,
    node: drawNode,
    usage: drawUsage,
  };

  // What a node used, each line on its own scale from zero: memory, and open files.
  function drawUsage(drawing, lane) {
    const { context, colours } = drawing;
    context.globalAlpha = 0.7;
    drawUsageLine(drawing, lane, "memory", colours.ink);
    drawUsageLine(drawing, lane, "files", colours.fault);
    context.globalAlpha = 1;
  }

  function drawUsageLine({ context, state, x }, lane, field, colour) {
    const highest = Math.max(1, ...lane.usage.map((sample) => sample[field]));
    context.strokeStyle = colour;
    context.beginPath();
    let previous = null;
    for (const sample of lane.usage) {
      const at = x(sample.at_s);
      const y = lane.y + lane.height - 3 - ((lane.height - 6) * sample[field]) / highest;
      if (previous?.incarnation === sample.incarnation) context.lineTo(at, y);
      else context.moveTo(at, y);
      previous = sample;
    }
    context.stroke();
  }

  function drawSteps({ context, colours, state, x }, lane) {
    context.font = MONO;
    for (const [index, step] of lane.steps.entries()) {
      const left = x(step.begin_s);
      const right = x(step.end_s ?? state.clock.end);
      if (right < GUTTER || left > context.canvas.width) continue;
      const width = Math.max(2, right - left - 1);
      context.fillStyle = colours.result[step.result] ?? colours.result[""];
      fillBlock(context, left, lane.y + 3, width, lane.height - 6, 3);
      context.fillStyle = colours.resultInk[step.result] ?? colours.ink;
      // A step that holds others is named as far as the first of them, which is drawn over it.
      const next = lane.steps[index + 1];
      const limit = next ? Math.min(right, x(next.begin_s)) : right;
      const middle = lane.y + lane.height / 2;
      const text = stepText(step, limit - left - 1);
      drawText(context, text, Math.max(left, GUTTER) + 5, middle, limit - 3);
    }
    context.font = FONT;
  }

  function stepText(step, width) {
    const whole = `${step.id} ${step.text}`;
    if (width > whole.length * MONO_WIDTH + 8) return whole;
    return width > 90 ? `${step.id} ${step.verb} ${step.at}` : step.id;
  }

  function drawFaults({ context, colours, state, x, width }, lane) {
    for (const fault of lane.faults) {
      const left = x(fault.begin_s);
      const right = x(fault.end_s ?? state.clock.end);
      context.fillStyle = colours.fault;
      context.globalAlpha = 0.16;
      fillBlock(context, left, lane.y + 2, Math.max(2, right - left), lane.height - 4, 3);
      context.globalAlpha = 1;
      context.fillRect(left, lane.y + 2, 2, lane.height - 4);
      const next = lane.faults.find((other) => other.begin_s > fault.begin_s);
      const room = next ? x(next.begin_s) - 12 : width - 4;
      const limit = Math.min(room, width - 4, Math.max(right, left + 260));
      const evidence = fault.took_effect
        ? `evidence: ${fault.evidence[0] ?? "yes"}`
        : "no evidence";
      const middle = lane.y + lane.height / 2;
      drawText(context, `${fault.name}  ${evidence}`, Math.max(left, GUTTER) + 6, middle, limit);
    }
  }

  // Operations as bars. Those on the same pixel are drawn once, the worst outcome on top.
  function drawOperations(drawing, lane) {
    const { context, state, xOf } = drawing;
    const { ops } = state.data;
    const inset = lane.small ? 1 : lane.observation ? 4 : 3;
    const bar = { top: lane.y + inset, height: lane.height - 2 * inset };
    let drawnTo = -1;
    let worst = -1;
    for (let index = firstVisible(state, lane); index < lane.rows.length; index++) {
      const row = lane.rows[index];
      const left = xOf(state.shownBegin[row]);
      if (left > drawing.width) break;
      const right = xOf(state.shownEnd[row]);
      const outcome = ops.outcome[row];
      if (right < drawnTo && outcome <= worst && !state.violating[row]) continue;
      const dimmed = isDimmed(state, row);
      context.globalAlpha = dimmed ? DIMMED : lane.observation ? 0.6 : 1;
      if (outcome === UNKNOWN) drawOpenBar(drawing, lane, index, left, right, bar);
      else drawBar(drawing, row, left, right, bar);
      if (state.violating[row] && !dimmed) drawViolationFrame(drawing, left, right, bar);
      drawnTo = Math.floor(left) + 1;
      worst = outcome;
    }
    context.globalAlpha = 1;
  }

  // While a finding or a search result is shown, its operations are not dimmed.
  function isDimmed(state, row) {
    const outside = (rows) => rows !== null && !rows.has(row);
    return outside(state.highlighted) || outside(state.hits);
  }

  function firstVisible(state, lane) {
    const begin = (index) => state.shownBegin[lane.rows[index]];
    return Math.max(0, lowerBound(lane.rows.length, begin, state.view.begin) - 1);
  }

  function drawBar(drawing, row, left, right, bar) {
    const { context, colours, state } = drawing;
    const width = Math.max(1.5, right - left - 0.5);
    context.fillStyle = colours.outcome[state.data.ops.outcome[row]];
    if (width < 4) context.fillRect(left, bar.top, width, bar.height);
    else fillBlock(context, left, bar.top, width, bar.height, 2);
    if (width > 40 && bar.height >= 11) drawBarText(drawing, row, left, right, bar);
  }

  // It is not known whether the operation happened: a bar that is open to the right.
  function drawOpenBar({ context, colours, state, xOf, width }, lane, index, left, right, bar) {
    const colour = colours.outcome[UNKNOWN];
    const nextRow = lane.rows[index + 1];
    const next = nextRow === undefined ? width : xOf(state.shownBegin[nextRow]);
    const to = Math.max(left + 3, Math.min(Math.max(right + 34, left + 34), next - 1));
    const fade = context.createLinearGradient(left, 0, to, 0);
    fade.addColorStop(0, colour);
    fade.addColorStop(Math.min(0.95, Math.max(0.3, (right - left) / (to - left))), colour);
    fade.addColorStop(1, `${colour}00`);
    context.strokeStyle = fade;
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(to, bar.top + 0.75);
    context.lineTo(left + 0.75, bar.top + 0.75);
    context.lineTo(left + 0.75, bar.top + bar.height - 0.75);
    context.lineTo(to, bar.top + bar.height - 0.75);
    context.stroke();
    context.lineWidth = 1;
  }

  function drawBarText({ context, colours, state }, row, left, right, bar) {
    context.font = MONO;
    context.fillStyle = colours.text[state.data.ops.outcome[row]];
    const middle = bar.top + bar.height / 2;
    drawText(
      context,
      operationTitle(state.data, row),
      Math.max(left, GUTTER) + 4,
      middle,
      right - 2,
    );
    context.font = FONT;
  }

  // An operation in a few words.
  function operationTitle(data, row) {
    const { ops, names, strings } = data;
    const node = data.nodes[ops.node[row]]?.name;
    const parts = [names.verb[ops.verb[row]], strings[ops.key[row]], valueOf(data, row)];
    return [...parts, node && `→ ${node}`].filter(Boolean).join(" ");
  }

  // What an operation wrote, or found; nothing where that is not known.
  function valueOf({ ops, names, strings }, row) {
    const value = ops.value[row] ? strings[ops.value[row]] || '""' : "";
    const verb = names.verb[ops.verb[row]];
    if (!/get|met/.test(verb)) return value;
    return ops.outcome[row] === OK ? `= ${value || "absent"}` : "";
  }

  function drawViolationFrame({ context, colours }, left, right, { top, height }) {
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

  // A node's incarnations and roles, its operations below them, and its events.
  function drawNode(drawing, lane) {
    const { context, colours, state, x } = drawing;
    const band = lane.height >= 40 ? 20 : 14;
    for (const incarnation of lane.incarnations) {
      const left = x(incarnation.begin_s);
      const right = x(incarnation.end_s ?? state.clock.end);
      context.fillStyle = colours.process;
      fillBlock(context, left, lane.y + 2, Math.max(2, right - left), band, 3);
      drawStarting(drawing, lane, incarnation, band);
      for (const role of lane.roles) drawRole(drawing, lane, incarnation, role, band);
    }
    drawNodeOperations(drawing, lane, band);
    for (const event of lane.events) drawEvent(drawing, lane, event, band);
  }

  function drawNodeOperations({ context, colours, state, xOf, width }, lane, band) {
    const { outcome } = state.data.ops;
    let drawnAt = -1;
    for (let index = firstVisible(state, lane); index < lane.rows.length; index++) {
      const row = lane.rows[index];
      const left = Math.floor(xOf(state.shownBegin[row]));
      if (left > width) break;
      if (left === drawnAt && outcome[row] === OK) continue;
      drawnAt = left;
      context.globalAlpha = isDimmed(state, row) ? DIMMED : 1;
      context.fillStyle = colours.outcome[outcome[row]];
      context.fillRect(left, lane.y + band + 4, 1.6, lane.height - band - 7);
    }
    context.globalAlpha = 1;
  }

  // Hatched: from the start of the process until it was ready.
  function drawStarting({ context, colours, state, x }, lane, incarnation, band) {
    const left = x(incarnation.begin_s);
    const right = x(incarnation.ready_s ?? incarnation.end_s ?? state.clock.end);
    context.save();
    context.beginPath();
    context.rect(left, lane.y + 2, right - left, band);
    context.clip();
    context.strokeStyle = colours.faint;
    context.beginPath();
    const end = Math.min(right, context.canvas.width);
    for (let at = Math.max(left, GUTTER) - band; at < end; at += 6) {
      context.moveTo(at, lane.y + 2 + band);
      context.lineTo(at + band, lane.y + 2);
    }
    context.stroke();
    context.restore();
  }

  // A role is drawn while its process ran, from the report until the next one.
  function drawRole({ context, colours, state, x }, lane, incarnation, role, band) {
    const begin = Math.max(role.begin_s, incarnation.ready_s ?? Infinity);
    const end = Math.min(role.end_s ?? state.clock.end, incarnation.end_s ?? state.clock.end);
    if (begin >= end) return;
    const left = x(begin);
    const right = x(end);
    context.fillStyle = colours.role[role.role] ?? colours.otherRole;
    fillBlock(context, left, lane.y + 2, Math.max(1, right - left), band, 3);
    context.fillStyle = colours.roleInk[role.role] ?? colours.soft;
    const texts = [role.role || role.how || "no role", role.term && `term ${role.term}`];
    const text = texts.filter(Boolean).join(", ");
    drawText(context, text, Math.max(left, GUTTER) + 7, lane.y + 2 + band / 2, right - 4);
  }

  // What a node logs of elections, by one letter each.
  const ELECTIONS = {
    election_term: "t",
    election_vote: "v",
    election_candidate: "c",
    election_leader: "L",
    election_truncated: "x",
  };

  // A signal is a triangle, an exit a square, a problem a cross. Readiness is only a line, and a
  // start is visible by its hatching.
  function drawEvent({ context, colours, x }, lane, event, band) {
    const at = Math.round(x(event.at_s));
    if (at < GUTTER - 8 || at > context.canvas.width || event.kind === "spawn") return;
    const y = lane.y + band + 5;
    context.fillStyle = context.strokeStyle = event.bad ? colours.bad : colours.soft;
    context.fillRect(at - 0.5, lane.y, 1, band + 4);
    if (event.kind === "exit") context.fillRect(at - 3, y, 6, 6);
    else if (event.kind === "signal") fillTriangle(context, at, y, 4.5, 6);
    else if (event.kind in ELECTIONS) context.fillText(ELECTIONS[event.kind], at + 2, y + 5);
    else if (event.kind !== "ready") strokeCross(context, at, y + 3, 3.5);
  }

  function drawSelection({ context, colours, state, x, xOf, height }) {
    const { row, at_s } = state.selected;
    if (at_s === null) return;
    const at = row >= 0 ? xOf(state.shownBegin[row]) : x(at_s);
    context.strokeStyle = colours.accent;
    context.beginPath();
    context.moveTo(Math.round(at) + 0.5, AXIS - 6);
    context.lineTo(Math.round(at) + 0.5, height);
    context.stroke();
    if (row < 0) return;
    const lane = clientLane(state, row);
    const width = Math.max(4, xOf(state.shownEnd[row]) - at + 2);
    context.lineWidth = 2;
    context.strokeRect(at - 1, lane.y + 1, width, lane.height - 2);
    context.lineWidth = 1;
  }

  function fillTriangle(context, x, y, half, height) {
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + half, y + height);
    context.lineTo(x - half, y + height);
    context.fill();
  }

  function strokeCross(context, x, y, half) {
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x - half, y - half);
    context.lineTo(x + half, y + half);
    context.moveTo(x - half, y + half);
    context.lineTo(x + half, y - half);
    context.stroke();
    context.lineWidth = 1;
  }

  function fillBlock(context, left, top, width, height, radius) {
    context.beginPath();
    context.roundRect(left, top, width, height, Math.min(radius, width / 2));
    context.fill();
  }

  // Text from `left`, truncated with … before `limit`; nothing when two letters do not fit.
  function drawText(context, text, left, middle, limit) {
    const space = limit - left;
    const width = context.measureText(text).width;
    if (width <= space) return context.fillText(text, left, middle);
    const kept = Math.floor((text.length * space) / width) - 1;
    if (kept > 1) context.fillText(`${text.slice(0, kept)}…`, left, middle);
  }

  return {
    FONT,
    font,
    prepare,
    drawingOf,
    drawTimeline,
    shownOfX,
    clipped,
    drawGaps,
    drawFaultShades,
    operationTitle,
  };
})();
