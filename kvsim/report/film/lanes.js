// Which lanes there are, from top to bottom, and which operations stand in each. Positions in CSS pixels.

const GUTTER = 124;
const AXIS = 26;

function makeLanes(data) {
  const lanes = [];
  let y = AXIS + 4;
  const add = (kind, name, height, more) => {
    lanes.push({ kind, name, y, height, ...more });
    y += height;
  };
  // a fault's own step is its band; the steps inside it stand in the lane
  const faults = new Set(data.faults.map((fault) => fault.step));
  const steps = data.steps.filter((step) => !faults.has(step.id));
  if (steps.length) add("steps", "steps", 24, { steps });
  for (const fault of faultRows(data.faults)) add("fault", fault.name, 20, { faults: fault.spans });
  y += 8;
  const clients = rowsBy(data.ops, data.ops.lane, data.lanes.length);
  const load = data.lanes.filter((lane) => lane.kind === "load").length;
  data.lanes.forEach((lane, number) => {
    const height = lane.kind === "looks" ? 16 : lane.kind === "scenario" ? 26 : load <= 8 ? 20 : load <= 32 ? 12 : 7;
    add("client", lane.name, height, { rows: clients[number], small: height < 12, looks: lane.kind === "looks" });
  });
  y += 10;
  const nodes = rowsBy(data.ops, data.ops.node, data.nodes.length);
  data.nodes.forEach((node, number) => {
    const of = (list) => list.filter((one) => one.node === node.name);
    const height = data.nodes.length > 12 ? 26 : 40;
    add("node", node.name, height, { rows: nodes[number], roles: of(data.roles), alive: of(data.alive), events: of(data.events) });
    y += data.nodes.length > 12 ? 1 : 4;
  });
  return { lanes, height: y + 6 };
}

// Faults that overlap stand below one another.
function faultRows(faults) {
  const rows = [];
  for (const fault of [...faults].sort((one, other) => one.begin_s - other.begin_s)) {
    const free = rows.find((row) => (row.spans.at(-1).end_s ?? Infinity) <= fault.begin_s);
    if (free) free.spans.push(fault);
    else rows.push({ name: rows.length ? "" : "faults", spans: [fault] });
  }
  return rows;
}

// Row numbers by the value of a column; rows stay in order of time.
function rowsBy(ops, column, count) {
  const sizes = new Uint32Array(count);
  for (let row = 0; row < ops.rows; row++) if (column[row] < count) sizes[column[row]]++;
  const found = Array.from(sizes, (size) => new Uint32Array(size));
  sizes.fill(0);
  for (let row = 0; row < ops.rows; row++) if (column[row] < count) found[column[row]][sizes[column[row]]++] = row;
  return found;
}
