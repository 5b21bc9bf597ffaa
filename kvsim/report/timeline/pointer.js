// The mouse and other pointers: select, move, zoom, and the tip over what is under the pointer.

timeline.pointer = (() => {
  const { byId, oneLine } = timeline.dom;
  const { NEVER_US, lowerBound } = timeline.decode;
  const { seconds } = timeline.clock;
  const { GUTTER } = timeline.lanes;
  const { setView, zoom, pan, selectRow, selectTime } = timeline.view;
  const { shownOfX, operationTitle } = timeline.draw;

  // In CSS pixels.
  const NEAR_PX = 5;
  const DRAG_MIN_PX = 3;
  const ROLE_BAND_PX = 22;

  function bindPointer(state) {
    for (const canvas of [state.canvas, state.charts]) bindCanvas(state, canvas);
    bindOverview(state);
  }

  function bindCanvas(state, canvas) {
    let from = null;
    let moved = false;
    const shownAt = (event) => shownOfX(state, canvas.clientWidth, event.offsetX);
    canvas.onpointerdown = (event) => {
      from = { x: event.offsetX, view: state.view };
      moved = false;
      canvas.setPointerCapture(event.pointerId);
    };
    canvas.onpointermove = (event) => {
      if (!from) return showTip(state, canvas, event);
      moved ||= Math.abs(event.offsetX - from.x) > DRAG_MIN_PX;
      if (!moved) return;
      canvas.classList.add("dragging");
      const { begin, end } = from.view;
      const shift = ((from.x - event.offsetX) / (canvas.clientWidth - GUTTER)) * (end - begin);
      setView(state, begin + shift, end + shift);
    };
    canvas.onpointerup = (event) => {
      canvas.classList.remove("dragging");
      if (from && !moved) click(state, canvas, event);
      from = null;
    };
    canvas.onpointercancel = () => (from = null);
    canvas.onpointerleave = () => hideTip(state);
    canvas.ondblclick = (event) => zoom(state, 0.4, shownAt(event));
    const onWheel = (event) => {
      const { deltaX, deltaY } = event;
      if (event.ctrlKey || event.metaKey) zoom(state, Math.exp(deltaY * 0.004), shownAt(event));
      else if (event.shiftKey || Math.abs(deltaX) > Math.abs(deltaY))
        pan(state, (deltaX || deltaY) / 1200);
      else return;
      event.preventDefault();
    };
    canvas.addEventListener("wheel", onWheel, { passive: false });
  }

  function click(state, canvas, event) {
    if (event.offsetX < GUTTER) return;
    const hit = canvas === state.canvas ? hitTest(state, event.offsetX, event.offsetY) : null;
    if (hit?.row !== undefined) return selectRow(state, hit.row, { keepView: true });
    const shown = Math.max(0, shownOfX(state, canvas.clientWidth, event.offsetX));
    selectTime(state, state.clock.toReal(shown));
  }

  // What is at a position: an operation, a step, a fault, an event or a role, and its lane.
  function hitTest(state, x, y) {
    const lane = state.layout.lanes.find(({ y: top, height }) => y >= top && y < top + height);
    if (!lane) return null;
    const width = state.canvas.clientWidth;
    const shown = shownOfX(state, width, x);
    const near = ((state.view.end - state.view.begin) / (width - GUTTER)) * NEAR_PX;
    const time = state.clock.toReal(Math.max(0, shown));
    const lasts = (span) => span.begin_s <= time && time <= (span.end_s ?? Infinity);
    const isNear = (event) => Math.abs(state.clock.toShown(event.at_s) - shown) < near;
    const event = lane.events?.find(isNear);
    if (event) return { lane, event };
    if (lane.kind === "steps") return { lane, step: lane.steps.find(lasts) };
    if (lane.kind === "fault") return { lane, fault: lane.faults.find(lasts) };
    if (lane.kind === "usage") {
      return { lane, usage: lane.usage.findLast((sample) => sample.at_s <= time) };
    }
    if (lane.kind === "node" && y < lane.y + ROLE_BAND_PX) {
      return { lane, role: lane.roles.findLast((role) => role.begin_s <= time) };
    }
    return { lane, row: nearestRow(state, lane, shown, near) };
  }

  function nearestRow(state, lane, shown, near) {
    const beginOf = (index) => state.shownBegin[lane.rows[index]];
    const index = lowerBound(lane.rows.length, beginOf, shown);
    let nearest;
    let distance = near;
    for (const row of lane.rows.subarray(Math.max(0, index - 3), index + 3)) {
      const [begin, end] = [state.shownBegin[row], state.shownEnd[row]];
      const away = shown < begin ? begin - shown : Math.max(0, shown - end);
      if (away <= distance) [nearest, distance] = [row, away];
    }
    return nearest;
  }

  function showTip(state, canvas, event) {
    const inside = canvas === state.canvas && event.offsetX >= GUTTER;
    const hit = inside ? hitTest(state, event.offsetX, event.offsetY) : null;
    const text = hit ? tipText(state, hit) : "";
    state.hover = hit;
    const tip = byId("tip");
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const box = tip.parentElement.getBoundingClientRect();
    const right = event.clientX - box.left + 14;
    const fits = right + tip.offsetWidth <= box.width;
    tip.style.left = `${Math.max(4, fits ? right : right - tip.offsetWidth - 28)}px`;
    tip.style.top = `${event.clientY - box.top + 16}px`;
  }

  function hideTip(state) {
    state.hover = null;
    byId("tip").hidden = true;
  }

  function usageTip(sample) {
    const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    const counts = `${sample.threads} threads, ${sample.files} open files`;
    const used = `memory ${mib(sample.memory)}, ${counts}, data ${mib(sample.disk)}`;
    return `${sample.node} ${used}\n${seconds(sample.at_s, true)}`;
  }

  function tipText(state, { row, event, step, fault, role, usage }) {
    if (row !== undefined) return operationTip(state.data, row);
    if (usage) return usageTip(usage);
    if (event) return `${event.node ?? ""} ${event.text}\n${seconds(event.at_s, true)}`;
    if (step) {
      const why = step.why ? `: ${step.why}` : "";
      return `${step.id} ${step.text}\n${step.result || "unfinished"}${why}`;
    }
    if (fault) return faultTip(fault);
    if (!role) return "";
    const term = role.term ? `, term ${role.term}` : "";
    const report = [role.how, role.role].filter(Boolean).join(" ");
    return `${report}${term}, since ${seconds(role.begin_s, true)}`;
  }

  function faultTip(fault) {
    const period = `${seconds(fault.begin_s, true)} to ${seconds(fault.end_s, true)}`;
    const lines = [fault.name, `${period}, ${recoveryText(fault.recovered)}`];
    if (!fault.took_effect) lines.push("NO EVIDENCE: nothing shows that it took effect");
    for (const item of fault.evidence) lines.push(`evidence: ${item}`);
    for (const item of fault.recovery) lines.push(`recovery: ${item}`);
    return lines.join("\n");
  }

  function recoveryText(recovered) {
    if (recovered === null) return "not recovered: the run ended while it lasted";
    return recovered ? "recovered" : "not recovered";
  }

  function operationTip(data, row) {
    const { ops, names, strings } = data;
    const reason = names.reason[ops.reason[row]];
    const reply = ops.received[row] ? oneLine(strings[ops.received[row]]) : strings[ops.value[row]];
    const took = ops.took_us[row] === NEVER_US ? "never returned" : seconds(ops.took_us[row] / 1e6);
    const outcome = names.outcome[ops.outcome[row]] + (reason ? ` (${reason})` : "");
    return [
      operationTitle(data, row),
      reply ? `${outcome}: ${reply.slice(0, 200)}` : outcome,
      `${seconds(ops.start_s[row], true)}, ${took}`,
    ].join("\n");
  }

  function bindOverview(state) {
    const canvas = state.overview;
    let pressed = false;
    const centreAt = (event) => {
      const share = (event.offsetX - GUTTER) / (canvas.clientWidth - GUTTER);
      const middle = share * state.clock.length;
      const half = (state.view.end - state.view.begin) / 2;
      setView(state, middle - half, middle + half);
    };
    canvas.onpointerdown = (event) => {
      pressed = true;
      canvas.classList.add("dragging");
      canvas.setPointerCapture(event.pointerId);
      centreAt(event);
    };
    canvas.onpointermove = (event) => pressed && centreAt(event);
    canvas.onpointerup = () => {
      pressed = false;
      canvas.classList.remove("dragging");
    };
  }

  return { bindPointer };
})();
