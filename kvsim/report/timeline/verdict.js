// The judgement: the head of the page, the checks and their findings, the steps, and what was not
// proven.

timeline.verdict = (() => {
  const { byId, element, fill, grouped } = timeline.dom;
  const { seconds } = timeline.clock;
  const { palette } = timeline.colours;
  const { showViolation, showPeriod } = timeline.view;

  const ORDER = ["fail", "invalid", "unknown", "pass", "not exercised"];
  const STATUS_CLASSES = { kept: "pass", broken: "fail", undecided: "unknown" };

  function showHead(state) {
    const { about, ops } = state.data;
    byId("title").textContent = about.title || about.scenario;
    byId("facts").textContent = [
      about.subject,
      `${grouped(ops.rows)} ${about.operations} in ${seconds(state.clock.end)}`,
      ...about.facts,
    ].join("  ·  ");
    byId("repeat").textContent = about.repeat_command;
    byId("copy").onclick = () => navigator.clipboard?.writeText(about.repeat_command);
    const badge = byId("verdict");
    badge.textContent = about.verdict;
    badge.classList.add(about.verdict);
    showLead(state);
    showCrashReport(about.crash_report);
    showThinned(state.data.thinned);
    byId("foot").textContent =
      `kvsim ${about.kvsim}, Python ${about.python}, ${about.system}. ${about.source} ` +
      "This page fetches nothing.";
  }

  // A very long history is thinned, and the page states it.
  function showThinned({ every, of }) {
    if (every <= 1) return;
    byId("thinned").textContent =
      `Of the clients’ ${grouped(of)} operations, one in ${every} of the answered ones is drawn, ` +
      "and all that are unknown or belong to a finding. Operations per second count all.";
  }

  // An error in kvsim ended the run: this is stated first, because the program is not to blame.
  function showCrashReport(text) {
    const [head, ...rest] = text.split("\n");
    const box = byId("crash-report");
    box.hidden = !text;
    box.querySelector("summary").textContent = `An error in kvsim itself ended the run: ${head}`;
    box.querySelector("pre").textContent = rest.join("\n").trim();
  }

  function showLead(state) {
    const { about, violations } = state.data;
    const parts = [];
    if (about.ended !== "finished") {
      parts.push(element("b", "", `The run did not finish: ${firstSentence(about.ended)}. `));
    }
    if (violations.length) {
      const [first] = violations;
      const source = first.step ? `Step ${first.step}: ` : `${spaced(first.check)}: `;
      parts.push(element("b", "", source), firstSentence(first.message));
      if (violations.length > 1) parts.push(` (and ${violations.length - 1} more)`);
    } else parts.push(about.without_findings);
    fill(byId("lead"), ...parts);
  }

  // Without the last log lines, which the finding shows.
  const firstSentence = (text) => text.replace(/; last (log )?lines.*$/s, "").slice(0, 400);
  const spaced = (name) => name.replaceAll("_", " ");

  function showJudgement(state) {
    const { checks, not_proven: gaps } = state.data;
    const rank = (check) => ORDER.indexOf(check.verdict);
    const sorted = [...checks].sort((left, right) => rank(left) - rank(right));
    const boxes = sorted.map((check) => checkBox(state, check));
    fill(byId("checks"), ...boxes, ...guaranteeBoxes(state.data));
    fill(byId("steps"), ...stepBoxes(state));
    byId("steps-box").hidden = !state.data.steps.length;
    fill(byId("not-proven"), ...gaps.map((text) => element("li", "", text)));
    byId("not-proven-box").hidden = !gaps.length;
  }

  function checkBox(state, check) {
    const exercised = check.verdict !== "not exercised";
    const body = element("div", "body", element("p", "", `${check.about}.`));
    for (const finding of check.findings) body.append(...findingElements(state, check, finding));
    const result = element("span", `result ${exercised ? check.verdict : "none"}`, check.verdict);
    const judged = check.judged ? `${grouped(check.judged)} judged` : "";
    const open = check.findings.length > 0;
    const name = element("span", "", spaced(check.name));
    return foldable(open, result, name, element("small", "", judged), body);
  }

  function findingElements(state, check, finding) {
    const violation = state.data.violations.find(
      (candidate) => candidate.check === check.name && candidate.message === finding.message,
    );
    const step = finding.step ? `step ${finding.step}: ` : "";
    const button = canShow(violation) ? showButton(() => showViolation(state, violation)) : null;
    const elements = [element("p", "", step, finding.message, " ", button)];
    if (finding.timeline) elements.push(element("pre", "ascii-timeline", finding.timeline));
    return elements;
  }

  const canShow = (violation) =>
    Boolean(violation && (violation.operations.length || (violation.at_s ?? null) !== null));

  function showButton(onclick) {
    const button = element("button", "show", "show");
    button.onclick = onclick;
    return button;
  }

  // What a load showed: whether each guarantee of the program was kept, and what was measured.
  function guaranteeBoxes({ guarantees, measured }) {
    if (!guarantees.length) return [];
    const title = element("p", "group-title", "The program’s guarantees");
    const values = measured.map((check) => element("p", "", measuredText(check)));
    const boxes = [title, ...guarantees.map(guaranteeBox)];
    return values.length ? [...boxes, element("div", "body measured", ...values)] : boxes;
  }

  function guaranteeBox({ guarantee, level, status, why }) {
    const result = element("span", `result ${STATUS_CLASSES[status] ?? "none"}`, status);
    const name = element("span", "", `${spaced(guarantee)}: ${spaced(level)}`);
    const body = element("div", "body", element("p", "", why));
    return foldable(status === "broken", result, name, null, body);
  }

  function measuredText({ check, values }) {
    const texts = Object.entries(values).map(([name, value]) => `${spaced(name)} ${value}`);
    return `${spaced(check)}: ${texts.join(", ")}`;
  }

  function stepBoxes(state) {
    const boxes = [];
    let group = null;
    for (const step of state.data.steps) {
      if (step.group !== group) boxes.push(element("p", "group-title", step.group));
      group = step.group;
      boxes.push(stepBox(state, step));
    }
    return boxes;
  }

  function stepBox(state, step) {
    const open = !["pass", "skipped"].includes(step.result);
    const className = step.result === "skipped" ? "none" : step.result;
    const result = element(
      "span",
      `result ${className}`,
      `${step.id} ${step.result || "unfinished"}`,
    );
    const took = step.end_s === null ? "" : seconds(step.end_s - step.begin_s);
    const text = element("code", "", step.text);
    return foldable(open, result, text, element("small", "", took), stepBody(state, step));
  }

  function stepBody(state, step) {
    const body = element("div", "body");
    if (step.targets.length) {
      const expected = step.expect ? `; expected ${step.expect}` : "";
      const targets = `${step.at || "nodes"}: ${step.targets.join(", ")}`;
      body.append(element("p", "", `target ${targets}${expected}`));
    }
    if (step.why) body.append(element("p", "", step.why));
    const show = () => showPeriod(state, step.begin_s, step.end_s ?? state.clock.end);
    body.append(element("p", "", showButton(show)));
    if (step.report.length) body.append(element("pre", "", step.report.join("\n")));
    return body;
  }

  function foldable(open, result, text, aside, body) {
    const box = element("details", "", element("summary", "", result, text, aside), body);
    box.open = open;
    return box;
  }

  // Table of the palette, name in it, text.
  const LEGEND = [
    ["outcome", 0, "ok"],
    ["outcome", 1, "refused: did not happen"],
    ["outcome", 2, "unknown: may have happened"],
    ["role", "leader", "leader"],
    ["role", "follower", "follower"],
  ];
  const SYMBOLS = "▴ signal   ▪ exit   t term   v vote   c candidate   L leader   x removed entries   ⋯ idle time, compressed";

  function showLegend() {
    const colours = palette();
    const entries = LEGEND.map(([table, name, text]) => {
      const swatch = element("i", text.startsWith("unknown") ? "open" : "");
      swatch.style.background = swatch.style.borderColor = colours[table][name];
      return element("span", "", swatch, text);
    });
    const fault = element("i");
    fault.style.background = colours.faultTint;
    fault.style.boxShadow = `inset 2px 0 ${colours.fault}`;
    const rest = [element("span", "", fault, "fault"), element("span", "", SYMBOLS)];
    fill(byId("legend"), ...entries, ...rest);
  }

  return { showHead, showJudgement, showLegend };
})();
