// Search in operations, log lines and events of processes. All words must be found.

timeline.search = (() => {
  const { byId, grouped } = timeline.dom;
  const { selectRow, selectTime, requestDraw } = timeline.view;

  const HITS_LIMIT = 200000;

  function search(state, text) {
    const terms = text.toLowerCase().split(/\s+/).filter(Boolean);
    const found = terms.length
      ? [...operationHits(state, terms), ...logHits(state, terms), ...eventHits(state, terms)]
      : [];
    const rows = found.filter((hit) => hit.row !== undefined).map((hit) => hit.row);
    state.found = found.sort((left, right) => left.at_s - right.at_s);
    state.hits = terms.length ? new Set(rows) : null;
    state.term = terms.length === 1 ? text.trim() : "";
    state.hitIndex = -1;
    showHits(state);
    requestDraw(state);
  }

  function operationHits(state, terms) {
    const { ops } = state.data;
    const tests = terms.map((term) => operationTest(state.data, term));
    const found = [];
    for (let row = 0; row < ops.rows && found.length < HITS_LIMIT; row++) {
      if (tests.every((test) => test(row))) found.push({ row, at_s: ops.start_s[row] });
    }
    return found;
  }

  // A function that tests whether a row contains the term.
  function operationTest({ ops, strings, names, nodes, lanes }, term) {
    const contains = strings.map((string) => string.toLowerCase().includes(term));
    const texts = [ops.key, ops.value, ops.sent, ops.received];
    const begins = (list) => list.map((name) => name.toLowerCase().startsWith(term));
    const equals = (list) => list.map(({ name }) => name.toLowerCase() === term);
    const named = [
      [begins(names.verb), ops.verb],
      [begins(names.outcome), ops.outcome],
      [begins(names.reason), ops.reason],
      [begins(names.purpose), ops.purpose],
      [equals(nodes), ops.node],
      [equals(lanes), ops.lane],
    ];
    return (row) =>
      texts.some((column) => contains[column[row]]) ||
      named.some(([is, column]) => is[column[row]]);
  }

  function logHits(state, terms) {
    return state.logs.flatMap(({ node, lines }) =>
      lines
        .filter((line) => !line.note && containsAll(`${node.name} ${line.text}`, terms))
        .map((line) => ({ at_s: line.observed_s })),
    );
  }

  function eventHits(state, terms) {
    return state.data.events
      .filter((event) => containsAll(`${event.node ?? ""} ${event.kind} ${event.text}`, terms))
      .map((event) => ({ at_s: event.at_s }));
  }

  function containsAll(text, terms) {
    const lowered = text.toLowerCase();
    return terms.every((term) => lowered.includes(term));
  }

  function goToHit(state, by) {
    const { found } = state;
    if (!found.length) return;
    state.hitIndex = (state.hitIndex + by + found.length) % found.length;
    const hit = found[state.hitIndex];
    if (hit.row !== undefined) selectRow(state, hit.row, { keepView: false });
    else selectTime(state, hit.at_s, { keepView: false });
    showHits(state);
  }

  function showHits(state) {
    const searching = byId("search").value.trim() !== "";
    byId("hits").textContent = searching ? hitsText(state) : "";
    byId("previous").disabled = byId("next").disabled = !state.found.length;
  }

  function hitsText({ found, hitIndex }) {
    if (!found.length) return "nothing";
    const count = grouped(found.length);
    return hitIndex < 0 ? `${count} found` : `${hitIndex + 1} of ${count}`;
  }

  return { search, goToHit };
})();
