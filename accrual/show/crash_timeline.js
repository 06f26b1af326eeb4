// A crash that can be dragged, and when the watcher notices it.

const AXIS = { left: 84, right: 744 };
const SENDER = 58;
const WATCHER = 148;
const SAW = { top: 236, bottom: 336 };

function situation(model) {
  const stops = model.get("stops");
  const at = (name) => stops[name].indexOf(model.get(name));
  const story = model.get("stories")[at("period")][at("k")];
  const stop = model.get("stop");
  const [k, period] = [model.get("k"), model.get("period")];
  return {
    stops, at, story, stop, k, period, timeout: k * period, transit: model.get("transit"),
    crash: story.crash[stop],
    last: story.last[stop],
    after: story.crash[stop] - story.sent[story.last[stop]],
    suspected: story.suspected[stop],
    detection: story.detection_time[stop],
  };
}

function sentence(s) {
  return (
    `The crash comes ${seconds(s.after)} after a heartbeat was sent. That heartbeat arrives ${seconds(s.transit)} after its sending, ` +
    `the watcher waits ${number(s.k)} × ${seconds(s.period)} = ${seconds(s.timeout)} from there, and suspects ${seconds(s.detection)} after the crash.`
  );
}

function picture(s) {
  const end = (s.story.suspected.at(-1) + s.period / 2) * 1.02;
  const x = scale(0, end, AXIS.left, AXIS.right);
  const parts = [];
  for (const t of rounds(0, end))
    parts.push(
      node("svg:line", { class: "grid", x1: x(t), x2: x(t), y1: 30, y2: WATCHER + 30 }),
      node("svg:text", { class: "middle", x: x(t), y: WATCHER + 46 }, number(t)),
    );
  parts.push(
    node("svg:text", { class: "end", x: AXIS.right, y: WATCHER + 62 }, "time since the first heartbeat [s]"),
    node("svg:text", { class: "strong", x: 4, y: SENDER + 4 }, "sender"),
    node("svg:text", { class: "strong", x: 4, y: WATCHER + 4 }, "watcher"),
    node("svg:rect", { class: "fixed area", x: x(s.crash), width: x(s.suspected) - x(s.crash), y: SENDER + 14, height: WATCHER - SENDER - 48 }),
    node("svg:line", { class: "axis", x1: AXIS.left, x2: x(s.crash), y1: SENDER, y2: SENDER }),
    node("svg:line", { class: "axis", x1: AXIS.left, x2: AXIS.right, y1: WATCHER, y2: WATCHER }),
  );
  for (let i = 0; i <= s.last; i++)
    parts.push(
      node("svg:line", { class: "message", x1: x(s.story.sent[i]), x2: x(s.story.arrived[i]), y1: SENDER, y2: WATCHER }),
      node("svg:circle", { class: "beat", cx: x(s.story.sent[i]), cy: SENDER, r: 4 }),
      node("svg:circle", { class: "beat", cx: x(s.story.arrived[i]), cy: WATCHER, r: 4 }),
    );
  for (let i = s.last + 1; i * s.period < end; i++) // due, and never sent
    parts.push(node("svg:circle", { class: "never", cx: x(i * s.period), cy: SENDER, r: 4 }));
  const waits = x(s.story.arrived[s.last]);
  const middle = (x(s.crash) + x(s.suspected)) / 2;
  parts.push(
    node("svg:path", { class: "crash", d: `M${x(s.crash) - 7},${SENDER - 7}l14,14m0,-14l-14,14` }),
    node("svg:text", { class: "middle strong", x: x(s.crash), y: SENDER - 14 }, "crash"),
    node("svg:line", { class: "deadline", x1: waits, x2: x(s.suspected), y1: WATCHER + 14, y2: WATCHER + 14 }),
    node("svg:text", { class: "fixed end", x: x(s.suspected) - 12, y: WATCHER + 28 }, `k × T = ${seconds(s.timeout)}`),
    node("svg:rect", { class: "fixed mark", x: x(s.suspected) - 8, y: WATCHER - 8, width: 16, height: 16 }),
    node("svg:text", { class: "middle strong", x: x(s.suspected), y: WATCHER - 14 }, "suspected"),
    node("svg:text", { class: "middle strong", x: middle, y: (SENDER + WATCHER) / 2 - 6 }, `detection time ${seconds(s.detection)}`),
  );
  return [...parts, ...saw(s, x)];
}

/** Detection time against the time of the crash, beside k x T. */
function saw(s, x) {
  const y = scale(0, Math.max(s.story.worst, s.timeout) * 1.25, SAW.bottom, SAW.top);
  const points = s.story.crash.map((t, i) => [x(t), y(s.story.detection_time[i])]);
  // A jump down at each heartbeat: two strokes, and none across it.
  const starts = s.story.last.flatMap((last, i) => (i === 0 || last !== s.story.last[i - 1] ? [i] : []));
  const strokes = starts.map((from, i) => line(points.slice(from, starts[i + 1] ?? points.length)));
  const limit = y(s.timeout);
  return [
    node("svg:text", { x: 4, y: SAW.top - 10 }, "detection time, by when the crash comes; dashed: k × T"),
    ...rounds(0, s.story.worst).map((t) => node("svg:text", { class: "end", x: AXIS.left - 6, y: y(t) + 4 }, t ? seconds(t) : "0")),
    node("svg:line", { class: "axis", x1: AXIS.left, x2: AXIS.right, y1: SAW.bottom, y2: SAW.bottom }),
    node("svg:line", { class: "deadline", x1: AXIS.left, x2: AXIS.right, y1: limit, y2: limit }),
    node("svg:path", { class: "crash", d: strokes.join("") }),
    node("svg:rect", { class: "fixed mark", x: x(s.crash) - 7, y: y(s.detection) - 7, width: 14, height: 14 }),
    node("svg:text", { class: "fixed", x: x(s.story.crash.at(-1)) + 14, y: y(s.story.worst) - 2 },
      `worst ${seconds(s.story.worst)}, on average ${seconds(s.story.uniform)}`),
  ];
}

function render({ model, el }) {
  const stops = model.get("stops");
  const root = node("div", { class: "accrual", "data-widget": "crash-timeline" });
  const svg = node("svg:svg", { viewBox: "0 0 760 350", role: "img", class: "crashing" });
  const words = node("p");
  const code = node("pre");
  const move = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const sliders = Object.fromEntries(
    [["stop", "Crash"], ["k", "Misses in a row k"], ["period", "Period T"]].map(
      ([name, label]) => [name, slider(name, label, stops[name].length, (index) => move(name, stops[name][index]))],
    ),
  );

  /** The stop that is nearest to the pointer. */
  const drag = (event) => {
    const s = situation(model);
    const box = svg.getBoundingClientRect();
    const end = (s.story.suspected.at(-1) + s.period / 2) * 1.02;
    const t = (((event.clientX - box.left) * 760) / box.width - AXIS.left) / (AXIS.right - AXIS.left) * end;
    const distance = s.story.crash.map((at) => Math.abs(at - t));
    move("stop", distance.indexOf(Math.min(...distance)));
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    drag(event);
  });
  svg.addEventListener("pointermove", (event) => svg.hasPointerCapture(event.pointerId) && drag(event));

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    svg.replaceChildren(...picture(s));
    svg.setAttribute("aria-label", now);
    words.textContent = now;
    sliders.stop.show(s.stop, seconds(s.crash), `crash ${seconds(s.after)} after a heartbeat: detected in ${seconds(s.detection)}`);
    sliders.k.show(s.at("k"), number(s.k), `k = ${s.k}: detected in ${seconds(s.detection)}`);
    sliders.period.show(s.at("period"), seconds(s.period), `T = ${seconds(s.period)}: detected in ${seconds(s.detection)}`);
    code.textContent =
      `watcher = ac.Monitor(ac.FixedTimeout(period=${s.period}), threshold=${s.k})\n` +
      s.story.arrived.slice(0, s.last + 1).map((t) => `watcher.heartbeat(now=${Math.round(t * 1e9)})\n`).join("") +
      `watcher.deadline() / 1e9 - ${s.crash}`;
    mirror(root, {
      stop: s.stop, k: s.k, period: s.period, timeout: s.timeout, crash: s.crash, heartbeats: s.last + 1,
      suspected: s.suspected, detection: s.detection, worst: s.story.worst, uniform: s.story.uniform,
    });
  };
  root.append(
    sliders.stop.element, svg, words,
    node("div", { class: "controls" }, sliders.k.element, sliders.period.element),
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
