// The colours of both themes. Outcomes also differ in lightness and shape, so that they can be
// distinguished without colour.

timeline.colours = (() => {
  const LIGHT = {
    sheet: "#ffffff",
    ink: "#1c1e22",
    soft: "#5f6570",
    faint: "#a3a8b0",
    line: "#e8e6e1",
    lane: "#faf9f6",
    gap: "rgb(120 112 90 / .085)",
    outcome: ["#5b8def", "#eda832", "#7a49b8"],
    text: ["#ffffff", "#3b2700", "#7a49b8"],
    result: {
      pass: "#dcefe3",
      fail: "#f6cfcb",
      unknown: "#f5e3bd",
      skipped: "#eeece6",
      "": "#f5e3bd",
    },
    resultInk: {
      pass: "#24613f",
      fail: "#97241e",
      unknown: "#7d5100",
      skipped: "#8b8f96",
      "": "#7d5100",
    },
    role: { leader: "#2d3a5c", follower: "#c5cedd" },
    roleInk: { leader: "#ffffff", follower: "#2d3a5c" },
    otherRole: "#e3e1db",
    bad: "#c0322b",
    fault: "#c0322b",
    faultTint: "rgb(192 50 43 / .065)",
    accent: "#2f5fc4",
    process: "#f0eee8",
  };
  const DARK = {
    sheet: "#1b1e23",
    ink: "#e6e6e3",
    soft: "#a0a6b0",
    faint: "#646a75",
    line: "#2b2f36",
    lane: "#1f2228",
    gap: "rgb(150 160 180 / .085)",
    outcome: ["#5c86d6", "#cf9434", "#bb96ea"],
    text: ["#ffffff", "#231700", "#bb96ea"],
    result: {
      pass: "#23402f",
      fail: "#5a2a27",
      unknown: "#4b3a17",
      skipped: "#2a2d33",
      "": "#4b3a17",
    },
    resultInk: {
      pass: "#9bd6b4",
      fail: "#ffb3ac",
      unknown: "#f0cd8c",
      skipped: "#7c828c",
      "": "#f0cd8c",
    },
    role: { leader: "#b9c8ec", follower: "#414a5b" },
    roleInk: { leader: "#17203a", follower: "#c3cad8" },
    otherRole: "#353941",
    bad: "#f0837b",
    fault: "#f0837b",
    faultTint: "rgb(240 131 123 / .10)",
    accent: "#86a9f5",
    process: "#23262c",
  };

  const palette = () => (document.documentElement.dataset.theme === "dark" ? DARK : LIGHT);

  return { palette };
})();
