// Search over operations, log lines, process events and steps. Several words must all be found.

const HITS_LIMIT = 200000;

function search(state, text) {
  const terms = text.toLowerCase().split(/\s+/).filter(Boolean);
  state.term = terms.length === 1 ? text.trim() : "";
  state.found = terms.length ? [...operationHits(state, terms), ...logHits(state, terms), ...eventHits(state, terms)] : [];
  state.found.sort((one, other) => one.at_s - other.at_s);
  state.hits = terms.length ? new Set(state.found.filter((hit) => hit.row !== undefined).map((hit) => hit.row)) : null;
  state.place = -1;
}

function operationHits(state, terms) {
  const { ops, strings, names, nodes, lanes } = state.data;
  const low = strings.map((one) => one.toLowerCase());
  const tests = terms.map((term) => {
    const inText = low.map((one) => one.includes(term));
    const is = (list, place) => list[place]?.toLowerCase().startsWith(term);
    return (row) => inText[ops.key[row]] || inText[ops.value[row]] || inText[ops.sent[row]] || inText[ops.received[row]] ||
      is(names.verb, ops.verb[row]) || is(names.outcome, ops.outcome[row]) || is(names.reason, ops.reason[row]) ||
      nodes[ops.node[row]]?.name.toLowerCase() === term || is(names.purpose, ops.purpose[row]) || lanes[ops.lane[row]].name === term;
  });
  const found = [];
  for (let row = 0; row < ops.rows && found.length < HITS_LIMIT; row++) if (tests.every((test) => test(row))) found.push({ row, at_s: ops.start_s[row] });
  return found;
}

function logHits(state, terms) {
  return state.logs.flatMap(({ node, lines }) =>
    lines.filter((line) => !line.note && holds(`${node.name} ${line.text}`, terms)).map((line) => ({ at_s: line.seen_s, log: node.name })));
}

function eventHits(state, terms) {
  return state.data.events.filter((event) => holds(`${event.node ?? ""} ${event.kind} ${event.text}`, terms)).map((event) => ({ at_s: event.at_s }));
}

function holds(text, terms) {
  const low = text.toLowerCase();
  return terms.every((term) => low.includes(term));
}

function goToHit(state, by) {
  if (!state.found.length) return;
  state.place = (state.place + by + state.found.length) % state.found.length;
  const hit = state.found[state.place];
  if (hit.row !== undefined) choose(state, hit.row, { keepView: false });
  else chooseTime(state, hit.at_s, { keepView: false });
  showHits(state);
}

function showHits(state) {
  const { found, place } = state;
  const searching = byId("search").value.trim() !== "";
  byId("hits").textContent = !searching ? "" : !found.length ? "nothing" : place < 0 ? `${found.length.toLocaleString("en")} found` : `${place + 1} of ${found.length.toLocaleString("en")}`;
  byId("previous").disabled = byId("next").disabled = !found.length;
}
