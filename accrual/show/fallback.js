// Semi-synchronous replication whose backup is cut off: how long each client waited, and what became of its write.

const BOX = { left: 52, right: 740, top: 46, bottom: 226 };

function situation(model) {
  const { timeout: timeouts, outage: outages } = model.get("stops");
  const [timeout, outage] = [model.get("timeout"), model.get("outage")];
  const run = model.get("runs")[timeouts.indexOf(timeout)][outages.indexOf(outage)];
  const about = model.get("about");
  const tell = (fate) => run.writes.filter((write) => write[2] === fate).length;
  return {
    timeouts, outages, timeout, outage, about, run, death: about.cut + outage,
    safe: tell("safe"), lost: tell("lost"), unanswered: tell("unanswered"),
    after: timeout === about.never ? "never" : seconds(timeout),
  };
}

const sentence = (s) =>
  `The primary's machine dies ${seconds(s.outage)} after the link. ` +
  (s.run.fell == null
    ? "Replication has not fallen back by then: "
    : `Replication fell back to asynchronous ${seconds(s.run.fell - s.about.cut, 2)} after the cut: `) +
  `${plural(s.safe, "write")} told OK and safe, ${s.lost} told OK and lost, ${s.unanswered} never answered.`;

function picture(s) {
  const end = s.death + 0.04 * s.death;
  const x = scale(0, end, BOX.left, BOX.right);
  const longest = Math.max(0.5, ...s.run.writes.map((write) => write[1] ?? 0));
  const y = scale(0, longest, BOX.bottom, BOX.top + 34);
  const moment = (at, text, row, anchor) => [
    node("svg:line", { class: "moment", x1: x(at), x2: x(at), y1: 14 + row * 14, y2: BOX.bottom }),
    node("svg:text", { class: `strong${anchor ? ` ${anchor}` : ""}`, x: x(at) + (anchor ? -4 : 4), y: 22 + row * 14 }, text),
  ];
  const mark = ([sent, waited, fate]) => {
    const cx = x(sent);
    if (fate === "unanswered") return node("svg:circle", { class: fate, cx, cy: BOX.top + 14, r: 3 });
    const cy = y(waited);
    if (fate === "safe") return node("svg:circle", { class: fate, cx, cy, r: 3 });
    return node("svg:path", { class: fate, d: `M${cx - 3},${cy - 3}l6,6m0,-6l-6,6` });
  };
  return [
    node("svg:rect", { class: "away", x: x(s.about.cut), width: x(s.death) - x(s.about.cut), y: BOX.top, height: BOX.bottom - BOX.top }),
    ...rounds(0, longest).flatMap((wait) => [
      node("svg:line", { class: "grid", x1: BOX.left, x2: BOX.right, y1: y(wait), y2: y(wait) }),
      node("svg:text", { class: "end", x: BOX.left - 6, y: y(wait) + 4 }, `${number(wait)} s`),
    ]),
    ...rounds(0, end).map((at) => node("svg:text", { class: "middle", x: x(at), y: BOX.bottom + 16 }, `${number(at)} s`)),
    node("svg:text", { x: 4, y: 12 }, "the client waited"),
    node("svg:text", { class: "end", x: BOX.right, y: BOX.bottom + 32 }, "when the write was sent"),
    ...moment(s.about.cut, "link cut", 1, "end"),
    ...(s.run.fell == null ? [] : moment(s.run.fell, "falls back, silently", 0)),
    ...moment(s.death, "primary dies", 1, "end"),
    ...(s.unanswered ? [node("svg:text", { class: "end", x: BOX.left - 6, y: BOX.top + 18 }, "no OK")] : []),
    ...s.run.writes.map(mark),
  ];
}

function render({ model, el }) {
  const { timeout: timeouts, outage: outages } = model.get("stops");
  const root = node("div", { class: "accrual", "data-widget": "fallback" });
  const move = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const timeout = slider("timeout", "Falls back after", timeouts.length, (index) => move("timeout", timeouts[index]));
  const outage = slider("outage", "Primary dies after", outages.length, (index) => move("outage", outages[index]));
  const chart = node("svg:svg", { viewBox: "0 0 760 264", role: "img" });
  const words = node("p");
  const code = node("pre");

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    timeout.show(timeouts.indexOf(s.timeout), s.after, `falls back after ${s.after}: ${s.lost} acknowledged writes lost`);
    outage.show(outages.indexOf(s.outage), seconds(s.outage), `the primary dies after ${seconds(s.outage)}: ${s.lost} acknowledged writes lost`);
    chart.replaceChildren(...picture(s));
    chart.setAttribute("aria-label", `How long each client waited, and what became of its write. ${now}`);
    words.textContent = now;
    code.textContent = `run = cut_off(timeout=${s.timeout}, outage=${s.outage})\nrun.outcome, run.findings`;
    mirror(root, {
      timeout: s.timeout, outage: s.outage, safe: s.safe, lost: s.lost, unanswered: s.unanswered, fell: s.run.fell,
    });
  };
  root.append(
    timeout.element, outage.element, chart,
    node("p", {}, "● told OK, and safe · ✕ told OK, and lost · ○ never answered"),
    words,
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
