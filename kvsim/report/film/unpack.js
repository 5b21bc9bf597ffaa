// The embedded data as typed arrays and plain values. Nothing is drawn here.

const NEVER_US = 0xffffffff;
const NONE = 0xffff;
const ARRAYS = { Float64Array, Uint32Array, Uint16Array, Uint8Array };

function unpack(text) {
  const data = JSON.parse(text);
  const rows = data.operations.rows;
  const columns = {};
  for (const [name, column] of Object.entries(data.operations.columns)) columns[name] = unpackColumn(column, rows);
  return { ...data, ops: { rows, ...columns, end_s: ends(columns, rows) } };
}

function unpackColumn(column, rows) {
  const type = ARRAYS[column.type];
  if ("fill" in column) return new type(rows).fill(column.fill);
  const binary = atob(column.base64);
  const bytes = new Uint8Array(binary.length);
  for (let place = 0; place < binary.length; place++) bytes[place] = binary.charCodeAt(place);
  return new type(bytes.buffer);
}

function ends(columns, rows) {
  const found = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const took = columns.took_us[row];
    found[row] = took === NEVER_US ? columns.start_s[row] : columns.start_s[row] + took / 1e6;
  }
  return found;
}

// First place in a rising array whose value is not below the wanted one.
function lowerBound(length, valueAt, wanted) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (valueAt(middle) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
