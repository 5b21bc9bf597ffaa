// The whole run in one strip: how much was asked when, faults, errors, and a window that shows where the lanes are.

const OVERVIEW_HEIGHT = 46;

function paintOverview(state) {
  const draw = { ...surface(state.overview, OVERVIEW_HEIGHT), colours: palette(), state };
  const { context, width, colours } = draw;
  const x = (film) => GUTTER + (film / state.clock.length) * (width - GUTTER);
  draw.x = (time) => x(state.clock.toFilm(time));
  context.fillStyle = colours.lane;
  context.fillRect(GUTTER, 0, width - GUTTER, OVERVIEW_HEIGHT);
  paintGaps(draw, 0, OVERVIEW_HEIGHT);
  paintFaultShade(draw, 0, OVERVIEW_HEIGHT);
  paintDensity(draw, density(state, Math.ceil(width - GUTTER)));
  for (const violation of state.data.violations) paintFlag(draw, violation);
  paintWindow(draw, x(state.view.begin), x(state.view.end));
  context.fillStyle = colours.soft;
  context.textAlign = "left";
  context.fillText("whole run", 2, 15);
  context.fillStyle = colours.faint;
  context.fillText(seconds(state.clock.end), 2, 32);
}

function density(state, columns) {
  if (state.density?.columns === columns && state.density.clock === state.clock) return state.density;
  const counts = [0, 1, 2].map(() => new Float32Array(columns));
  let high = 1;
  for (let row = 0; row < state.data.ops.rows; row++) {
    const column = Math.min(columns - 1, Math.max(0, Math.floor((state.begin_f[row] / state.clock.length) * columns)));
    counts[state.data.ops.outcome[row]][column]++;
    high = Math.max(high, counts[0][column] + counts[1][column] + counts[2][column]);
  }
  state.density = { columns, clock: state.clock, counts, high };
  return state.density;
}

function paintDensity({ context, colours }, { columns, counts, high }) {
  const scale = (OVERVIEW_HEIGHT - 14) / Math.sqrt(high);
  for (let column = 0; column < columns; column++) {
    const total = counts[0][column] + counts[1][column] + counts[2][column];
    if (!total) continue;
    let y = OVERVIEW_HEIGHT - 2;
    const height = Math.max(3, Math.sqrt(total) * scale);
    for (const outcome of [0, 1, 2]) {
      const part = (counts[outcome][column] / total) * height;
      context.fillStyle = colours.outcome[outcome];
      context.fillRect(GUTTER + column, y - part, 1, part);
      y -= part;
    }
  }
}

function paintFlag({ context, colours, state, x }, violation) {
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

function paintWindow({ context, colours, width }, left, right) {
  context.fillStyle = colours.sheet;
  context.globalAlpha = 0.62;
  context.fillRect(GUTTER, 0, Math.max(0, left - GUTTER), OVERVIEW_HEIGHT);
  context.fillRect(right, 0, Math.max(0, width - right), OVERVIEW_HEIGHT);
  context.globalAlpha = 1;
  context.strokeStyle = colours.accent;
  context.strokeRect(Math.max(GUTTER, left) + 0.5, 0.5, Math.max(3, Math.min(right, width) - Math.max(GUTTER, left) - 1), OVERVIEW_HEIGHT - 1);
}
