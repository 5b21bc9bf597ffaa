// Starts the page: makes the state from the data and binds the controls.

(() => {
  const { byId } = timeline.dom;
  const { makeLanes } = timeline.lanes;
  const { joinLogs, showLogs } = timeline.logs;
  const { showOperation, showRequests } = timeline.selection;
  const { showHead, showJudgement, showLegend } = timeline.verdict;
  const { goToHit, search } = timeline.search;
  const { bindKeys, toggleHelp } = timeline.keys;
  const { bindPointer } = timeline.pointer;
  const { setClock, fit, zoom, requestDraw, errors, nextError, toggleIdle } = timeline.view;

  function start() {
    const state = makeState(timeline.decode.decode(byId("data").textContent));
    timeline.state = state;
    timeline.clock.setUnit(state.data);
    setTheme(state, matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    setClock(state);
    fit(state);
    showHead(state);
    showJudgement(state);
    state.showSelection();
    bindControls(state);
    bindPointer(state);
    bindKeys(state);
    bindPrinting(state);
    new ResizeObserver(() => requestDraw(state)).observe(byId("stage"));
    byId("error").disabled = !errors(state).length;
  }

  function makeState(data) {
    const isKind = (kind) => data.lanes.map((lane) => lane.kind === kind);
    const state = {
      data,
      canvas: byId("timeline"),
      overview: byId("overview"),
      charts: byId("charts"),
      layout: makeLanes(data),
      logs: joinLogs(data),
      // Without an operation, `row` is -1; without a time, `at_s` is null.
      selected: { row: -1, at_s: null },
      // The rows of the finding that is shown, and of the search; null: none is shown.
      highlighted: null,
      hits: null,
      // Hits of the search, in order of time.
      found: [],
      hitIndex: -1,
      term: "",
      errorIndex: -1,
      hover: null,
      compress: true,
      isObservation: isKind("observation"),
      isLoad: isKind("load"),
      violating: violatingRows(data),
      draw: () => drawAll(state),
      showSelection: () => {
        showOperation(state);
        showRequests(state);
        showLogs(state);
      },
      toggleTheme: () => setTheme(state, currentTheme() === "dark" ? "light" : "dark"),
    };
    return state;
  }

  // For each row, whether a finding names it.
  function violatingRows(data) {
    const violating = new Uint8Array(data.ops.rows);
    for (const violation of data.violations) {
      for (const row of violation.operations) violating[row] = 1;
    }
    return violating;
  }

  function drawAll(state) {
    timeline.overview.drawOverview(state);
    timeline.draw.drawTimeline(state);
    timeline.charts.drawCharts(state);
  }

  const currentTheme = () => document.documentElement.dataset.theme;

  function setTheme(state, theme) {
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
    showLegend();
    if (state.view) requestDraw(state);
  }

  function bindControls(state) {
    byId("in").onclick = () => zoom(state, 0.5);
    byId("out").onclick = () => zoom(state, 2);
    byId("fit").onclick = () => fit(state);
    byId("idle").onclick = () => toggleIdle(state);
    byId("theme").onclick = () => state.toggleTheme();
    byId("help").onclick = () => toggleHelp();
    byId("error").onclick = () => nextError(state);
    byId("next").onclick = () => goToHit(state, 1);
    byId("previous").onclick = () => goToHit(state, -1);
    byId("search").oninput = (event) => search(state, event.target.value);
  }

  // Paper is white: the lanes are drawn in light colours while the page is printed.
  function bindPrinting(state) {
    let before = null;
    window.addEventListener("beforeprint", () => {
      before = currentTheme();
      setTheme(state, "light");
      drawAll(state);
    });
    window.addEventListener("afterprint", () => before && setTheme(state, before));
  }

  start();
})();
