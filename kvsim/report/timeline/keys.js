// The keyboard, as a table. While the search field has the focus, only Enter and Escape do
// something.

timeline.keys = (() => {
  const { byId, element, fill } = timeline.dom;
  const { selectRow, stepOperation, nextError, zoom, fit, pan, toggleIdle } = timeline.view;
  const { goToHit } = timeline.search;

  const KEYS = [
    ["/", "search", () => byId("search").focus()],
    ["n", "next hit", (state) => goToHit(state, 1)],
    ["N", "previous hit", (state) => goToHit(state, -1)],
    ["e", "first error, then the next one", (state) => nextError(state)],
    ["ArrowRight", "next operation", (state) => stepOperation(state, 1)],
    ["ArrowLeft", "operation before", (state) => stepOperation(state, -1)],
    ["ArrowDown", "next operation in the lane", (state) => stepOperation(state, 1, true)],
    ["ArrowUp", "operation before in the lane", (state) => stepOperation(state, -1, true)],
    ["+", "zoom in", (state) => zoom(state, 0.5)],
    ["-", "zoom out", (state) => zoom(state, 2)],
    ["0", "the whole run", (state) => fit(state)],
    ["a", "move left", (state) => pan(state, -0.25)],
    ["d", "move right", (state) => pan(state, 0.25)],
    ["g", "idle time compressed or in full", (state) => toggleIdle(state)],
    ["t", "light or dark", (state) => state.toggleTheme()],
    ["Escape", "select nothing", (state) => selectRow(state, -1, { keepView: true })],
    ["?", "these keys", () => toggleHelp()],
  ];
  const LABELS = { ArrowRight: "→", ArrowLeft: "←", ArrowDown: "↓", ArrowUp: "↑", Escape: "Esc" };
  const SAME_AS = { "=": "+", _: "-", E: "e", G: "g", T: "t" };

  function bindKeys(state) {
    const entry = (key, text) => element("span", "", element("kbd", "", key), text);
    const entries = KEYS.map(([key, text]) => entry(LABELS[key] ?? key, text));
    const pointer = entry("Ctrl", "and the wheel: zoom; drag: move; double click: zoom in");
    fill(byId("keys"), ...entries, pointer);
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target === byId("search")) return searchKey(state, event);
      const found = KEYS.find(([key]) => key === (SAME_AS[event.key] ?? event.key));
      if (!found) return;
      event.preventDefault();
      found[2](state);
    });
  }

  function searchKey(state, event) {
    if (event.key === "Enter") goToHit(state, event.shiftKey ? -1 : 1);
    if (event.key === "Escape") {
      event.target.value = "";
      event.target.dispatchEvent(new Event("input"));
      event.target.blur();
    }
  }

  function toggleHelp() {
    const keys = byId("keys");
    keys.hidden = !keys.hidden;
    byId("help").setAttribute("aria-expanded", String(!keys.hidden));
  }

  return { bindKeys, toggleHelp };
})();
