// One clock for everything, with its idle stretches compressed: real seconds to film seconds and back, piecewise linear and rising.

const SHORT_S = 0.1; // stretches up to this count as activity
const IDLE_LEAST_S = 0.02;
const IDLE_SHARE = 0.4; // of the active time

function makeClock(data, compress) {
  const times = moments(data);
  const gaps = compress ? idleGaps(times) : [];
  const real = [0];
  const film = [0];
  for (const gap of gaps) {
    film.push(film.at(-1) + gap.begin - real.at(-1));
    real.push(gap.begin);
    film.push(film.at(-1) + gap.shown);
    real.push(gap.end);
  }
  const end = Math.max(times.at(-1) ?? 0, data.about.end_s, 1e-3);
  film.push(film.at(-1) + end - real.at(-1));
  real.push(end);
  const convert = (from, to) => (value) => {
    if (value <= 0) return value;
    const place = Math.min(Math.max(lowerBound(from.length, (n) => from[n], value), 1), from.length - 1);
    const span = from[place] - from[place - 1];
    const share = span > 0 ? (value - from[place - 1]) / span : 0;
    return place === from.length - 1 && share > 1 ? to[place] + value - from[place] : to[place - 1] + share * (to[place] - to[place - 1]);
  };
  return { gaps: gaps.filter((gap) => gap.marked), end, length: film.at(-1), toFilm: convert(real, film), toReal: convert(film, real) };
}

// Every time at which something began or ended, in order.
function moments(data) {
  const { ops } = data;
  const more = [0, data.about.end_s];
  for (const event of data.events) more.push(event.at_s);
  for (const span of [...data.steps, ...data.roles, ...data.faults, ...data.alive]) more.push(span.begin_s, span.end_s ?? span.begin_s);
  const all = new Float64Array(ops.rows * 2 + more.length);
  all.set(ops.start_s);
  all.set(ops.end_s, ops.rows);
  all.set(more, ops.rows * 2);
  return all.sort();
}

// Stretches in which nothing begins or ends, with how long they are shown: a longer one a little longer, all of them together
// never more than a share of the film.
function idleGaps(times) {
  let active = 0;
  for (let n = 1; n < times.length; n++) if (times[n] - times[n - 1] <= SHORT_S) active += times[n] - times[n - 1];
  const limit = Math.max(IDLE_LEAST_S, active / 14);
  const gaps = [];
  for (let n = 1; n < times.length; n++) {
    const length = times[n] - times[n - 1];
    if (length > limit) gaps.push({ begin: times[n - 1], end: times[n], shown: limit * (1 + 0.2 * Math.log(length / limit)), length });
  }
  const total = gaps.reduce((sum, gap) => sum + gap.shown, 0);
  const scale = Math.min(1, (Math.max(active, IDLE_LEAST_S) * IDLE_SHARE) / (total || 1));
  return gaps.map((gap) => ({ ...gap, shown: gap.shown * scale, marked: gap.length > 1.6 * gap.shown * scale }));
}

function seconds(value, fine) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 120) return `${Math.floor(value / 60)} min ${(value % 60).toFixed(0)} s`;
  if (size >= 10) return `${value.toFixed(fine ? 3 : 1)} s`;
  if (size >= 1) return `${value.toFixed(fine ? 4 : 2)} s`;
  if (size >= 0.001 || size === 0) return `${(value * 1e3).toFixed(fine ? 2 : size < 0.01 ? 2 : size < 0.1 ? 1 : 0)} ms`;
  return `${(value * 1e6).toFixed(0)} µs`;
}
