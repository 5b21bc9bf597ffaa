// The lanes from top to bottom, and the operations in each. Positions are CSS pixels.

timeline.lanes = (() => {
  const GUTTER = 124;
  const AXIS = 26;
  const NO_ROWS = new Uint32Array(0);

  function makeLanes(data) {
    const lanes = [];
    let y = AXIS + 4;
    const add = (kind, name, height, more) => {
      lanes.push({ kind, name, y, height, ...more });
      y += height;
    };
    // A fault's own step is drawn as the fault; the steps inside it are in the lane of steps.
    const faults = new Set(data.faults.map((fault) => fault.step));
    const steps = data.steps.filter((step) => !faults.has(step.id));
    if (steps.length) add("steps", "steps", 24, { steps });
    for (const row of faultRows(data.faults)) add("fault", row.name, 20, { faults: row.faults });
    y += 8;
    const rowsOfLanes = rowsBy(data.ops, data.ops.lane, data.lanes.length);
    const loadLanes = data.lanes.filter((lane) => lane.kind === "load").length;
    data.lanes.forEach((lane, number) => {
      const height = clientHeight(lane.kind, loadLanes);
      add("client", lane.name, height, {
        rows: rowsOfLanes[number],
        small: height < 12,
        observation: lane.kind === "observation",
      });
    });
    y += 10;
    const manyNodes = data.nodes.length > 12;
    const rowsOfNodes = rowsBy(data.ops, data.ops.node, data.nodes.length);
    data.nodes.forEach((node, number) => {
      const ofNode = (list) => list.filter((item) => item.node === node.name);
      add("node", node.name, manyNodes ? 26 : 40, {
        rows: rowsOfNodes[number],
        roles: ofNode(data.roles),
        incarnations: ofNode(data.incarnations),
        events: ofNode(data.events),
      });
      const usage = ofNode(data.usage);
      if (usage.length > 1) add("usage", "memory, files", 24, { usage, rows: NO_ROWS });
      y += manyNodes ? 1 : 4;
    });
    return { lanes, height: y + 6 };
  }

  function clientHeight(kind, loadLanes) {
    if (kind === "observation") return 16;
    if (kind === "scenario") return 26;
    return loadLanes <= 8 ? 20 : loadLanes <= 32 ? 12 : 7;
  }

  // Faults that overlap are drawn below one another.
  function faultRows(faults) {
    const rows = [];
    for (const fault of [...faults].sort((left, right) => left.begin_s - right.begin_s)) {
      const free = rows.find((row) => (row.faults.at(-1).end_s ?? Infinity) <= fault.begin_s);
      if (free) free.faults.push(fault);
      else rows.push({ name: rows.length ? "" : "faults", faults: [fault] });
    }
    return rows;
  }

  // Row numbers by the value of a column, in order of time.
  function rowsBy(ops, column, count) {
    const sizes = new Uint32Array(count);
    for (let row = 0; row < ops.rows; row++) if (column[row] < count) sizes[column[row]]++;
    const grouped = Array.from(sizes, (size) => new Uint32Array(size));
    sizes.fill(0);
    for (let row = 0; row < ops.rows; row++) {
      const value = column[row];
      if (value < count) grouped[value][sizes[value]++] = row;
    }
    return grouped;
  }

  return { GUTTER, AXIS, makeLanes };
})();
