// Operations per second by outcome, and their latency, for the visible period. Faults are shaded.

timeline.charts = (() => {
  const { OK, REFUSED, UNKNOWN, lowerBound } = timeline.decode;
  const { seconds } = timeline.clock;
  const { GUTTER } = timeline.lanes;
  const { FONT, font, drawingOf, clipped, drawGaps, drawFaultShades } = timeline.draw;
  const { grouped } = timeline.dom;

  const HEIGHT = 148;
  const RATE = { top: 10, bottom: 62 };
  const LATENCY = { top: 76, bottom: 140 };
  const BUCKET_PX = 5;
  const OUTCOMES = [OK, REFUSED, UNKNOWN];
  // With fewer operations in a bucket, a rate means nothing.
  const RATE_MIN_COUNT = 5;

  function drawCharts(state) {
    // Counts of events give no rate and no latency.
    state.charts.hidden = state.data.about.counts_events;
    if (state.charts.hidden) return;
    const drawing = drawingOf(state, state.charts, HEIGHT);
    const measured = measure(state, drawing.width);
    clipped(drawing, () => {
      drawGaps(drawing, 0, HEIGHT);
      drawFaultShades(drawing, 0, HEIGHT);
      drawRates(drawing, measured);
      drawLatencies(drawing, measured);
    });
    drawScales(drawing, measured);
  }

  // Counts and latencies of the visible operations, in buckets of a few pixels. kvsim's own
  // observations are left out.
  function measure(state, width) {
    const { ops, thinned } = state.data;
    const count = Math.max(1, Math.ceil((width - GUTTER) / BUCKET_PX));
    const buckets = Array.from({ length: count }, () => ({ counts: [0, 0, 0], us: [] }));
    const { begin, end } = state.view;
    const bucketLength = (end - begin) / count;
    let slowest = 0;
    let fastest = Infinity;
    const first = lowerBound(ops.rows, (row) => state.shownBegin[row], begin);
    for (let row = first; row < ops.rows && state.shownBegin[row] < end; row++) {
      const lane = ops.lane[row];
      if (state.isObservation[lane]) continue;
      const index = Math.floor((state.shownBegin[row] - begin) / bucketLength);
      const bucket = buckets[Math.min(count - 1, index)];
      const outcome = ops.outcome[row];
      // One row of a thinned load stands for several operations.
      bucket.counts[outcome] += outcome !== UNKNOWN && state.isLoad[lane] ? thinned.every : 1;
      if (outcome === UNKNOWN) continue;
      const took = Math.max(1, ops.took_us[row]);
      bucket.us.push(took);
      slowest = Math.max(slowest, took);
      fastest = Math.min(fastest, took);
    }
    const realTime = (index) => state.clock.toReal(begin + bucketLength * index);
    buckets.forEach((bucket, index) => {
      bucket.length_s = Math.max(1e-6, realTime(index + 1) - realTime(index));
      bucket.total = bucket.counts[OK] + bucket.counts[REFUSED] + bucket.counts[UNKNOWN];
      bucket.rate = bucket.total / bucket.length_s;
      bucket.us.sort((left, right) => left - right);
    });
    return {
      buckets,
      rateMax: Math.max(...buckets.map((bucket) => bucket.rate)),
      countMax: Math.max(...buckets.map((bucket) => bucket.total)),
      slowest,
      fastest: Math.min(fastest, slowest),
    };
  }

  function drawRates({ context, colours }, { buckets, rateMax }) {
    const scale = (RATE.bottom - RATE.top) / (rateMax || 1);
    buckets.forEach((bucket, index) => {
      let y = RATE.bottom;
      for (const outcome of OUTCOMES) {
        const height = (bucket.counts[outcome] / bucket.length_s) * scale;
        if (!height) continue;
        context.fillStyle = colours.outcome[outcome];
        const left = GUTTER + index * BUCKET_PX;
        context.fillRect(left, y - height, BUCKET_PX - 1, Math.max(1, height));
        y -= height;
      }
    });
  }

  // A logarithmic scale: microseconds to y.
  function latencyScale({ slowest, fastest }) {
    const low = Math.log10(Math.max(1, fastest)) - 0.1;
    const high = Math.max(low + 1, Math.log10(Math.max(1, slowest)) + 0.1);
    const share = (us) => (Math.log10(Math.max(1, us)) - low) / (high - low);
    return (us) => LATENCY.bottom - share(us) * (LATENCY.bottom - LATENCY.top);
  }

  function drawLatencies({ context, colours }, measured) {
    const y = latencyScale(measured);
    measured.buckets.forEach(({ us }, index) => {
      if (!us.length) return;
      const left = GUTTER + index * BUCKET_PX;
      const [low, median] = [us[0], us[us.length >> 1]];
      const p99 = us[Math.min(us.length - 1, Math.ceil(us.length * 0.99) - 1)];
      context.globalAlpha = 0.3;
      context.fillStyle = colours.soft;
      context.fillRect(left + 1, y(p99), BUCKET_PX - 2, Math.max(1, y(low) - y(p99)));
      context.globalAlpha = 1;
      context.fillStyle = colours.ink;
      context.fillRect(left, y(median) - 1, BUCKET_PX - 1, 2);
    });
  }

  function drawScales({ context, colours, width }, { rateMax, countMax, slowest, fastest }) {
    context.textAlign = "left";
    context.fillStyle = colours.soft;
    context.fillText("operations/s", 2, RATE.top + 8);
    context.fillText("latency", 2, LATENCY.top + 8);
    context.font = font(11);
    context.fillStyle = colours.faint;
    context.fillText("median; bar to 99 %", 2, LATENCY.top + 24);
    context.textAlign = "right";
    const rate = rateMax >= 10 ? grouped(Math.round(rateMax)) : rateMax.toFixed(1);
    if (countMax >= RATE_MIN_COUNT) {
      context.fillText(`${rate} at most`, GUTTER - 8, RATE.bottom - 6);
    }
    if (slowest) {
      const range = `${seconds(fastest / 1e6)} … ${seconds(slowest / 1e6)}`;
      context.fillText(range, GUTTER - 8, LATENCY.bottom - 6);
    }
    context.strokeStyle = colours.line;
    context.beginPath();
    for (const y of [RATE.bottom + 0.5, LATENCY.bottom + 0.5]) {
      context.moveTo(GUTTER, y);
      context.lineTo(width, y);
    }
    context.stroke();
    context.font = FONT;
  }

  return { drawCharts };
})();
