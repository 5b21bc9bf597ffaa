// The keyboard, as a table. Keys do nothing while something is typed into the search field, but for Enter and Escape.

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
  ["0", "the whole run", (state) => setView(state, 0, state.clock.length)],
  ["a", "move left", (state) => pan(state, -0.25)],
  ["d", "move right", (state) => pan(state, 0.25)],
  ["g", "idle time compressed or not", (state) => toggleIdle(state)],
  ["t", "light or dark", (state) => toggleTheme(state)],
  ["Escape", "choose nothing", (state) => choose(state, -1, { keepView: true })],
  ["?", "these keys", () => toggleHelp()],
];
const SHOWN = { ArrowRight: "→", ArrowLeft: "←", ArrowDown: "↓", ArrowUp: "↑", Escape: "Esc" };
const ALSO = { "=": "+", "_": "-", "E": "e", "G": "g", "T": "t" };

function listenToKeys(state) {
  fill(byId("keys"), ...KEYS.map(([key, text]) => element("span", "", element("kbd", "", SHOWN[key] ?? key), text)),
    element("span", "", element("kbd", "", "Ctrl"), "and the wheel: zoom; drag: move; double click: zoom in"));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === byId("search")) return searchKey(state, event);
    const found = KEYS.find(([key]) => key === (ALSO[event.key] ?? event.key));
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
