// The judgement in words: the head of the page, the checks with what they found, the steps, and what was not proven.

function showHead(state) {
  const { about, nodes, ops } = state.data;
  byId("title").textContent = about.title || about.scenario;
  byId("facts").textContent = [about.scenario, `${nodes.length} nodes, ${about.programs.join(", ")}`, `${ops.rows.toLocaleString("en")} requests in ${seconds(state.clock.end)}`, `seed ${about.seed}`, about.when].join("  ·  ");
  byId("again").textContent = about.again;
  byId("copy").onclick = () => navigator.clipboard?.writeText(about.again);
  const stamp = byId("verdict");
  stamp.textContent = about.verdict;
  stamp.classList.add(about.verdict);
  showLead(state);
  showBrokenOff(about.broken_off);
  showThinned(state);
  byId("foot").textContent = `kvsim ${about.kvsim}, Python ${about.python}, ${about.system}. Written from ${about.run}; kvsim report writes it again, kvsim verify judges the run again. This page fetches nothing.`;
}

// A very long load is thinned, and the page says so.
function showThinned({ data }) {
  const { every, of } = data.thinned;
  if (every > 1) byId("thinned").textContent = `Of the load’s ${of.toLocaleString("en")} operations, one in ${every} of the answered ones is drawn; all that are unknown, and all that prove a finding. Operations a second are counted in full.`;
}

// That kvsim itself ended the run: not the program's fault, and said before anything else.
function showBrokenOff(text) {
  const [head, ...rest] = text.split("\n");
  const box = byId("broken-off");
  box.hidden = !text;
  box.querySelector("summary").textContent = `kvsim itself broke the run off: ${head}`;
  box.querySelector("pre").textContent = rest.join("\n").trim();
}

function showLead(state) {
  const { about, violations, steps } = state.data;
  const parts = [];
  if (about.ended !== "finished") parts.push(element("b", "", `The run did not finish: ${brief(about.ended)}. `));
  if (violations.length) {
    const [first] = violations;
    parts.push(element("b", "", first.step ? `Step ${first.step}: ` : `${words(first.check)}: `), brief(first.message));
    if (violations.length > 1) parts.push(` (and ${violations.length - 1} more)`);
  } else if (about.verdict !== "pass") parts.push(steps.length ? "Something that had to be looked at could not be; see what was judged." : "Nothing was tested, so nothing is proven.");
  else parts.push(`${steps.length} steps did what was expected of them, and nothing that was judged spoke against the run.`);
  fill(byId("lead"), ...parts);
}

// The first sentence or so: what the last log lines were stands with the finding.
const brief = (text) => text.replace(/; last (log )?lines.*$/s, "").slice(0, 400);
const words = (name) => name.replaceAll("_", " ");

function showJudged(state) {
  const { checks, not_proven: unproven } = state.data;
  const order = ["fail", "invalid", "unknown", "pass", "not exercised"];
  const sorted = [...checks].sort((one, other) => order.indexOf(one.verdict) - order.indexOf(other.verdict));
  fill(byId("checks"), ...sorted.map((check) => checkBox(state, check)), ...promiseBoxes(state.data));
  fill(byId("steps"), ...stepBoxes(state));
  fill(byId("unproven"), ...unproven.map((text) => element("li", "", text)));
  byId("unproven-box").hidden = !unproven.length;
}

function checkBox(state, check) {
  const bad = check.findings.length > 0;
  const none = check.verdict === "not exercised";
  const body = element("div", "body", element("p", "", `${check.about}.`));
  for (const finding of check.findings) {
    const violation = state.data.violations.find((one) => one.check === check.name && one.message === finding.message);
    body.append(element("p", "", finding.step ? `step ${finding.step}: ` : "", finding.message, " ", canShow(violation) ? findButton(state, violation) : null));
    if (finding.picture) body.append(element("pre", "picture", finding.picture));
  }
  const result = element("span", `result ${none ? "none" : check.verdict}`, none ? "not looked" : check.verdict);
  return folded(bad, result, element("span", "", words(check.name)), element("small", "", check.judged ? `${check.judged.toLocaleString("en")} judged` : ""), body);
}

// What a load showed: how each promise of the program stands, and what was only measured.
function promiseBoxes({ promises, measured }) {
  if (!promises.length) return [];
  const standings = { kept: "pass", broken: "fail", undecided: "unknown" };
  const rows = promises.map((one) =>
    folded(one.standing === "broken", element("span", `result ${standings[one.standing] ?? "none"}`, one.standing), element("span", "", `${words(one.promise)}: ${words(one.word)}`), null, element("div", "body", element("p", "", one.why))));
  const values = measured.map((one) => element("p", "", `${words(one.check)}: ${Object.entries(one.values).map(([name, value]) => `${words(name)} ${value}`).join(", ")}`));
  return [element("p", "group-title", "How the program’s promises stand"), ...rows, values.length ? element("div", "body measured", ...values) : null].filter(Boolean);
}

const canShow = (violation) => Boolean(violation && (violation.operations.length || (violation.at_s ?? null) !== null));

function findButton(state, violation) {
  const button = element("button", "find-it", "show");
  button.onclick = () => showViolation(state, violation);
  return button;
}

function stepBoxes(state) {
  const made = [];
  let group = null;
  for (const step of state.data.steps) {
    if (step.group !== group) made.push(element("p", "group-title", step.group));
    group = step.group;
    made.push(stepBox(state, step));
  }
  return made;
}

function stepBox(state, step) {
  const bad = !["pass", "skipped"].includes(step.result);
  const result = element("span", `result ${step.result === "skipped" ? "none" : step.result}`, `${step.id} ${step.result || "unfinished"}`);
  const body = element("div", "body");
  if (step.targets.length) body.append(element("p", "", `for ${step.at || "nodes"}: ${step.targets.join(", ")}${step.expect ? `; expected ${step.expect}` : ""}`));
  if (step.why) body.append(element("p", "", step.why));
  const show = element("button", "find-it", "show");
  show.onclick = () => showStretch(state, step.begin_s, step.end_s ?? state.clock.end);
  body.append(element("p", "", show));
  if (step.story.length) body.append(element("pre", "", step.story.join("\n")));
  return folded(bad, result, element("code", "", step.text), element("small", "", step.end_s === null ? "" : seconds(step.end_s - step.begin_s)), body);
}

function folded(open, result, text, aside, body) {
  const box = element("details", "", element("summary", "", result, text, aside), body);
  box.open = open;
  return box;
}

const LEGEND = [
  ["outcome", 0, "ok"],
  ["outcome", 1, "refused: did not happen"],
  ["outcome", 2, "unknown: may have happened"],
  ["role", "leader", "leader"],
  ["role", "follower", "follower"],
];

function showLegend() {
  const colours = palette();
  const entries = LEGEND.map(([table, name, text]) => {
    const swatch = element("i", table === "outcome" && name === 2 ? "open" : "");
    swatch.style.background = swatch.style.borderColor = colours[table][name];
    return element("span", "", swatch, text);
  });
  const fault = element("i");
  fault.style.background = colours.faultTint;
  fault.style.boxShadow = `inset 2px 0 ${colours.fault}`;
  fill(byId("legend"), ...entries, element("span", "", fault, "fault"), element("span", "", "▴ signal   ▪ end   ⋯ idle time, compressed"));
}
