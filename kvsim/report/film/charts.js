// Operations a second by outcome, and how long they took, over the same stretch of time as the lanes. Faults are shaded.

const CHARTS_HEIGHT = 148;
const RATE = { top: 10, bottom: 62 };
const LATENCY = { top: 76, bottom: 140 };
const BUCKET_PX = 5;

function paintCharts(state) {
  const draw = { ...surface(state.charts, CHARTS_HEIGHT), colours: palette(), state };
  draw.x = (time) => xOfFilm(state, draw.width, state.clock.toFilm(time));
  const buckets = measure(state, draw.width);
  clipped(draw, () => {
    paintGaps(draw, 0, CHARTS_HEIGHT);
    paintFaultShade(draw, 0, CHARTS_HEIGHT);
    paintRates(draw, buckets);
    paintLatencies(draw, buckets);
  });
  paintScales(draw, buckets);
}

// Counts and latencies of the visible operations, a bucket every few pixels. kvsim's own looks are left out.
function measure(state, width) {
  const { ops } = state.data;
  const count = Math.max(1, Math.ceil((width - GUTTER) / BUCKET_PX));
  const buckets = Array.from({ length: count }, () => ({ counts: [0, 0, 0], us: [] }));
  let slowest = 0;
  let fastest = Infinity;
  const film = (state.view.end - state.view.begin) / count;
  const first = lowerBound(ops.rows, (row) => state.begin_f[row], state.view.begin);
  for (let row = first; row < ops.rows && state.begin_f[row] < state.view.end; row++) {
    if (state.looks[ops.lane[row]]) continue;
    const bucket = buckets[Math.min(count - 1, Math.floor((state.begin_f[row] - state.view.begin) / film))];
    bucket.counts[ops.outcome[row]] += ops.outcome[row] < 2 && state.loads[ops.lane[row]] ? state.data.thinned.every : 1;
    if (ops.outcome[row] === 2) continue;
    const took = Math.max(1, ops.took_us[row]);
    bucket.us.push(took);
    slowest = Math.max(slowest, took);
    fastest = Math.min(fastest, took);
  }
  const real = (place) => state.clock.toReal(state.view.begin + film * place);
  buckets.forEach((bucket, place) => {
    bucket.span_s = Math.max(1e-6, real(place + 1) - real(place));
    bucket.total = bucket.counts[0] + bucket.counts[1] + bucket.counts[2];
    bucket.rate = bucket.total / bucket.span_s;
    bucket.us.sort((one, other) => one - other);
  });
  const high = Math.max(...buckets.map((bucket) => bucket.rate));
  const enough = Math.max(...buckets.map((bucket) => bucket.total)) >= 5; // a rate of one or two would be a number without a meaning
  return { list: buckets, high, enough, slowest, fastest: Math.min(fastest, slowest) };
}

function paintRates({ context, colours }, { list, high }) {
  const scale = (RATE.bottom - RATE.top) / (high || 1);
  list.forEach((bucket, place) => {
    let y = RATE.bottom;
    for (const outcome of [0, 1, 2]) {
      const height = (bucket.counts[outcome] / bucket.span_s) * scale;
      if (!height) continue;
      context.fillStyle = colours.outcome[outcome];
      context.fillRect(GUTTER + place * BUCKET_PX, y - height, BUCKET_PX - 1, Math.max(1, height));
      y -= height;
    }
  });
}

function latencyScale({ slowest, fastest }) {
  const low = Math.log10(Math.max(1, fastest)) - 0.1;
  const high = Math.max(low + 1, Math.log10(Math.max(1, slowest)) + 0.1);
  return (us) => LATENCY.bottom - ((Math.log10(Math.max(1, us)) - low) / (high - low)) * (LATENCY.bottom - LATENCY.top);
}

function paintLatencies({ context, colours }, buckets) {
  const y = latencyScale(buckets);
  buckets.list.forEach(({ us }, place) => {
    if (!us.length) return;
    const left = GUTTER + place * BUCKET_PX;
    const [low, middle, p99] = [us[0], us[us.length >> 1], us[Math.min(us.length - 1, Math.ceil(us.length * 0.99) - 1)]];
    context.globalAlpha = 0.3;
    context.fillStyle = colours.soft;
    context.fillRect(left + 1, y(p99), BUCKET_PX - 2, Math.max(1, y(low) - y(p99)));
    context.globalAlpha = 1;
    context.fillStyle = colours.ink;
    context.fillRect(left, y(middle) - 1, BUCKET_PX - 1, 2);
  });
}

function paintScales({ context, colours, width }, buckets) {
  context.textAlign = "left";
  context.fillStyle = colours.soft;
  context.fillText("operations/s", 2, RATE.top + 8);
  context.fillText("latency", 2, LATENCY.top + 8);
  context.font = FONT.replace("12px", "11px");
  context.fillStyle = colours.faint;
  context.fillText("median; bar to 99 %", 2, LATENCY.top + 24);
  context.textAlign = "right";
  const rate = buckets.high >= 10 ? Math.round(buckets.high).toLocaleString("en") : buckets.high.toFixed(1);
  if (buckets.enough) context.fillText(`${rate} at most`, GUTTER - 8, RATE.bottom - 6);
  if (buckets.slowest) context.fillText(`${seconds(buckets.fastest / 1e6)} … ${seconds(buckets.slowest / 1e6)}`, GUTTER - 8, LATENCY.bottom - 6);
  context.strokeStyle = colours.line;
  context.beginPath();
  for (const y of [RATE.bottom + 0.5, LATENCY.bottom + 0.5]) {
    context.moveTo(GUTTER, y);
    context.lineTo(width, y);
  }
  context.stroke();
  context.font = FONT;
}
