// The embedded data as typed arrays and plain values. Draws nothing.

timeline.decode = (() => {
  // `took_us` of an operation that did not return.
  const NEVER_US = 0xffffffff;
  const ARRAYS = { Float64Array, Uint32Array, Uint16Array, Uint8Array };

  // Outcomes by their number.
  const OK = 0;
  const REFUSED = 1;
  const UNKNOWN = 2;

  function decode(text) {
    const data = JSON.parse(text);
    const rows = data.operations.rows;
    const columns = {};
    for (const [name, column] of Object.entries(data.operations.columns)) {
      columns[name] = decodeColumn(column, rows);
    }
    return { ...data, ops: { rows, ...columns, end_s: endTimes(columns, rows) } };
  }

  function decodeColumn(column, rows) {
    const type = ARRAYS[column.type];
    if ("fill" in column) return new type(rows).fill(column.fill);
    const binary = atob(column.base64);
    const bytes = new Uint8Array(binary.length);
    for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
    return new type(bytes.buffer);
  }

  function endTimes(columns, rows) {
    const ends = new Float64Array(rows);
    for (let row = 0; row < rows; row++) {
      const took = columns.took_us[row];
      ends[row] = columns.start_s[row] + (took === NEVER_US ? 0 : took / 1e6);
    }
    return ends;
  }

  // The first index of a sorted sequence whose value is at least `target`.
  function lowerBound(length, valueAt, target) {
    let low = 0;
    let high = length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (valueAt(middle) < target) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  return { NEVER_US, OK, REFUSED, UNKNOWN, decode, lowerBound };
})();
