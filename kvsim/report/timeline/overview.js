// The whole run in one strip: requests over time, faults, errors, and the visible period.

timeline.overview = (() => {
  const { OK, REFUSED, UNKNOWN } = timeline.decode;
  const { seconds } = timeline.clock;
  const { GUTTER } = timeline.lanes;
  const { palette } = timeline.colours;
  const { prepare, drawGaps, drawFaultShades } = timeline.draw;

  const HEIGHT = 46;
  const OUTCOMES = [OK, REFUSED, UNKNOWN];

  function drawOverview(state) {
    const prepared = prepare(state.overview, HEIGHT);
    const { context, width } = prepared;
    const colours = palette();
    const xOf = (shown) => GUTTER + (shown / state.clock.length) * (width - GUTTER);
    const x = (time) => xOf(state.clock.toShown(time));
    const drawing = { ...prepared, colours, state, x };
    context.fillStyle = colours.lane;
    context.fillRect(GUTTER, 0, width - GUTTER, HEIGHT);
    drawGaps(drawing, 0, HEIGHT);
    drawFaultShades(drawing, 0, HEIGHT);
    drawDensity(drawing, density(state, Math.ceil(width - GUTTER)));
    for (const violation of state.data.violations) drawFlag(drawing, violation);
    drawWindow(drawing, xOf(state.view.begin), xOf(state.view.end));
    context.fillStyle = colours.soft;
    context.textAlign = "left";
    context.fillText("whole run", 2, 15);
    context.fillStyle = colours.faint;
    context.fillText(seconds(state.clock.end), 2, 32);
  }

  // Operations of each outcome in each column of pixels; kept until the width or clock changes.
  function density(state, columns) {
    const known = state.density;
    if (known?.columns === columns && known.clock === state.clock) return known;
    const { rows, outcome } = state.data.ops;
    const counts = OUTCOMES.map(() => new Float32Array(columns));
    let high = 1;
    for (let row = 0; row < rows; row++) {
      const at = Math.floor((state.shownBegin[row] / state.clock.length) * columns);
      const column = Math.min(columns - 1, Math.max(0, at));
      counts[outcome[row]][column]++;
      high = Math.max(high, total(counts, column));
    }
    state.density = { columns, clock: state.clock, counts, high };
    return state.density;
  }

  const total = (counts, column) =>
    counts[OK][column] + counts[REFUSED][column] + counts[UNKNOWN][column];

  function drawDensity({ context, colours }, { columns, counts, high }) {
    const scale = (HEIGHT - 14) / Math.sqrt(high);
    for (let column = 0; column < columns; column++) {
      const count = total(counts, column);
      if (!count) continue;
      let y = HEIGHT - 2;
      const height = Math.max(3, Math.sqrt(count) * scale);
      for (const outcome of OUTCOMES) {
        const part = (counts[outcome][column] / count) * height;
        context.fillStyle = colours.outcome[outcome];
        context.fillRect(GUTTER + column, y - part, 1, part);
        y -= part;
      }
    }
  }

  function drawFlag({ context, colours, state, x }, violation) {
    const row = violation.operations[0];
    const time = row === undefined ? violation.at_s : state.data.ops.start_s[row];
    if (time === null || time === undefined) return;
    const at = x(time);
    context.fillStyle = colours.bad;
    context.beginPath();
    context.moveTo(at, 9);
    context.lineTo(at - 5, 1);
    context.lineTo(at + 5, 1);
    context.fill();
  }

  // Cover what is outside of the visible period.
  function drawWindow({ context, colours, width }, left, right) {
    const from = Math.max(GUTTER, left);
    context.fillStyle = colours.sheet;
    context.globalAlpha = 0.62;
    context.fillRect(GUTTER, 0, from - GUTTER, HEIGHT);
    context.fillRect(right, 0, Math.max(0, width - right), HEIGHT);
    context.globalAlpha = 1;
    context.strokeStyle = colours.accent;
    context.strokeRect(from + 0.5, 0.5, Math.max(3, Math.min(right, width) - from - 1), HEIGHT - 1);
  }

  return { drawOverview };
})();
