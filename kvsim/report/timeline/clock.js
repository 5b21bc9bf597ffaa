// The clock of the page. Real time is seconds since the run began; shown time is the same with idle
// stretches compressed. The conversion is piecewise linear and increasing.

timeline.clock = (() => {
  const { lowerBound } = timeline.decode;

  // A stretch of at most this length counts as active.
  const ACTIVE_MAX_S = 0.1;
  const IDLE_MIN_S = 0.02;
  // Idle stretches together take at most this share of the active time.
  const IDLE_SHARE = 0.4;

  function makeClock(data, compress) {
    const times = changeTimes(data);
    const gaps = compress ? idleGaps(times) : [];
    const real = [0];
    const shown = [0];
    for (const gap of gaps) {
      shown.push(shown.at(-1) + gap.begin - real.at(-1));
      real.push(gap.begin);
      shown.push(shown.at(-1) + gap.shown);
      real.push(gap.end);
    }
    const end = Math.max(times.at(-1) ?? 0, data.about.end_s, 1e-3);
    shown.push(shown.at(-1) + end - real.at(-1));
    real.push(end);
    return {
      gaps: gaps.filter((gap) => gap.marked),
      end,
      length: shown.at(-1),
      toShown: converter(real, shown),
      toReal: converter(shown, real),
    };
  }

  function converter(from, to) {
    return (value) => {
      if (value <= 0) return value;
      const found = lowerBound(from.length, (index) => from[index], value);
      const index = Math.min(Math.max(found, 1), from.length - 1);
      const length = from[index] - from[index - 1];
      const share = length > 0 ? (value - from[index - 1]) / length : 0;
      const beyondEnd = index === from.length - 1 && share > 1;
      if (beyondEnd) return to[index] + value - from[index];
      return to[index - 1] + share * (to[index] - to[index - 1]);
    };
  }

  // Every time at which something began or ended, sorted.
  function changeTimes(data) {
    const { ops } = data;
    const more = [0, data.about.end_s];
    for (const event of data.events) more.push(event.at_s);
    for (const span of [...data.steps, ...data.roles, ...data.faults, ...data.incarnations]) {
      more.push(span.begin_s, span.end_s ?? span.begin_s);
    }
    const all = new Float64Array(ops.rows * 2 + more.length);
    all.set(ops.start_s);
    all.set(ops.end_s, ops.rows);
    all.set(more, ops.rows * 2);
    return all.sort();
  }

  // Stretches in which nothing begins or ends, with the length at which each is shown: a longer one
  // is a little longer, all together take a limited share of the page.
  function idleGaps(times) {
    let active = 0;
    for (let index = 1; index < times.length; index++) {
      const length = times[index] - times[index - 1];
      if (length <= ACTIVE_MAX_S) active += length;
    }
    const limit = Math.max(IDLE_MIN_S, active / 14);
    const gaps = [];
    for (let index = 1; index < times.length; index++) {
      const [begin, end] = [times[index - 1], times[index]];
      const length = end - begin;
      if (length <= limit) continue;
      gaps.push({ begin, end, length, shown: limit * (1 + 0.2 * Math.log(length / limit)) });
    }
    const total = gaps.reduce((sum, gap) => sum + gap.shown, 0);
    const scale = Math.min(1, (Math.max(active, IDLE_MIN_S) * IDLE_SHARE) / (total || 1));
    return gaps.map((gap) => {
      const shown = gap.shown * scale;
      return { ...gap, shown, marked: gap.length > 1.6 * shown };
    });
  }

  // Whether times are counts of events, each drawn as a millisecond.
  let countsEvents = false;

  function setUnit(data) {
    countsEvents = data.about.counts_events;
  }

  // A time as text; `fine` adds digits.
  function seconds(value, fine) {
    if (value === null || value === undefined) return "–";
    if (countsEvents) return eventCount(+(value * 1e3).toFixed(3));
    const size = Math.abs(value);
    if (size >= 120) return `${Math.floor(value / 60)} min ${(value % 60).toFixed(0)} s`;
    if (size >= 10) return `${value.toFixed(fine ? 3 : 1)} s`;
    if (size >= 1) return `${value.toFixed(fine ? 4 : 2)} s`;
    if (size >= 0.001 || size === 0) {
      const digits = fine || size < 0.01 ? 2 : size < 0.1 ? 1 : 0;
      return `${(value * 1e3).toFixed(digits)} ms`;
    }
    return `${(value * 1e6).toFixed(0)} µs`;
  }

  const eventCount = (count) => (count === 1 ? "1 event" : `${count} events`);

  // The time of a tick of an axis with such a distance between ticks.
  function tickText(time, step) {
    if (countsEvents) return `${+(time * 1e3).toFixed(3)}`;
    const digits = (size) => Math.max(0, Math.ceil(-Math.log10(size) - 1e-9));
    if (step >= 1) return `${Math.round(time)} s`;
    if (time >= 1 || step >= 0.1) return `${time.toFixed(digits(step))} s`;
    return `${(time * 1e3).toFixed(digits(step * 1e3))} ms`;
  }

  return { makeClock, setUnit, seconds, tickText };
})();
