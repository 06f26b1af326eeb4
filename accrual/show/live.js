// A process that beats, and what phi and k x T make of it meanwhile. Every level was computed by the library; here it is
// played back, a fifth of a second later, so that messages that are late now and then leave no mark on the picture.

const DELAY = 0.2; // s
const SHOWN = 12; // s
const ASK = 1000; // ms between two signs of life to the kernel
const LOST = 10; // s without a word from the kernel
const CALM = 500; // ms between two pictures for those who want less motion
const SPEAK = 3000; // ms between two announcements
const BOX = { left: 60, right: 752, height: 84, phi: 46, fixed: 176 };
const DONE = { start: "process started", pause: "process paused", resume: "process goes on", slow: "process slowed", stop: "process ended in order", kill: "process killed", gone: "process is gone" };
const PHASES = {
  ready: "No process yet. This is an example: a sender that was paused for two seconds.",
  beating: "beats", paused: "is paused", slowed: "is stopped again and again",
  stopped: "The process has ended, in order. The watchers were not told.", killed: "The process was killed.",
  gone: "The process is gone, and not by a button here.", ended: "The process was ended", lost: "",
};

/** What an event comes to in words. */
function told({ who, what, silent }, level) {
  if (!level[who]) return DONE[what];
  const name = who === "phi" ? "φ" : "k × T";
  return what === "suspects"
    ? `${name} suspects, ${seconds(silent)} after the last heartbeat`
    : `${name} trusts again: a heartbeat, after ${seconds(silent)}`;
}

function render({ model, el }) {
  const stops = model.get("stops");
  const actions = model.get("actions");
  const view = Math.random().toString(36).slice(2);
  const motion = matchMedia("(prefers-reduced-motion: reduce)");
  const root = node("div", { class: "accrual", "data-widget": "live-phi" });

  // What has come, and how far it is shown.
  let seen = model.get("example");
  let live = false; // or the example
  let over = true; // nothing more will come
  let word = { phase: "ready", why: "", pid: null, ignored: 0 };
  let heard = 0; // when the kernel spoke last
  let offsets = []; // of this page's clock and the kernel's, of the last messages; the least has waited least
  let frames = 0;
  let painted = [];
  let request = 0;
  let logged = -1;
  let spoken = 0;

  const send = (content) => {
    try {
      model.send({ view, ...content });
    } catch {
      word = { ...word, phase: "lost" }; // the kernel was restarted
    }
  };

  // ---- controls ----
  const buttons = Object.fromEntries(
    Object.entries(actions).map(([name, { label, title }]) => [
      name,
      button(label, `${label}: ${title}`, () => allowed(name) && send({ do: name })),
    ]),
  );
  for (const [name, made] of Object.entries(buttons)) made.dataset.action = name;
  const allowed = (name) => (word.phase === "lost" ? name === "start" : actions[name].from.includes(word.phase));
  const move = (name) => (index) => {
    model.set(name, stops[name][index]);
    model.save_changes();
    if (!live || over) draw(end());
  };
  const sliders = {
    threshold: slider("threshold", "Threshold Φ", stops.threshold.length, move("threshold")),
    k: slider("k", "Misses in a row k", stops.k.length, move("k")),
  };

  // ---- picture: made once, moved many times ----
  const clip = `live-${view}`;
  const made = (name, attributes) => node(`svg:${name}`, attributes);
  const lanes = Object.fromEntries(
    ["phi", "fixed"].map((name) => [
      name,
      {
        area: made("path", { class: `${name} area` }),
        over: made("path", { class: `${name} over` }),
        limit: made("line", { class: `${name} level`, x1: BOX.left, x2: BOX.right }),
        title: made("text", { class: name, x: BOX.left, y: BOX[name] - 12 }),
        marks: made("g", {}),
        ticks: [0, 1, 2].map((part) => made("text", { class: "end", x: BOX.left - 6, y: BOX[name] + BOX.height * (1 - part / 2) + 4 })),
      },
    ]),
  );
  const beats = made("path", { class: "beat" });
  const deeds = made("g", {});
  const bottom = BOX.fixed + BOX.height;
  const x = scale(-SHOWN, 0, BOX.left, BOX.right);
  const picture = node("svg:svg", { viewBox: "0 0 760 304", role: "img", class: "waits" },
    node("svg:clipPath", { id: clip }, made("rect", { x: BOX.left, y: 0, width: BOX.right - BOX.left, height: bottom })),
    ...rounds(-SHOWN, 0).flatMap((t) => [
      made("line", { class: "grid", x1: x(t), x2: x(t), y1: BOX.phi, y2: bottom }),
      node("svg:text", { class: "middle", x: x(t), y: bottom + 16 }, number(t)),
    ]),
    node("svg:text", { class: "end", x: BOX.right, y: bottom + 32 }, "seconds before now; a stroke between the lanes: a heartbeat"),
    ...Object.values(lanes).flatMap((lane) => [lane.title, ...lane.ticks]),
    node("svg:g", { "clip-path": `url(#${clip})` },
      ...Object.values(lanes).flatMap((lane) => [lane.area, lane.over, lane.limit, lane.marks]), beats, deeds));

  // ---- words ----
  const about = node("span");
  const levels = { phi: node("span", { class: "phi" }), fixed: node("span", { class: "fixed" }) };
  const log = node("ol", { class: "log", reversed: "", "aria-label": "What happened, the latest first" });
  const status = node("div", { class: "unseen", role: "status" });

  const limits = () => ({ phi: model.get("threshold"), fixed: model.get("k") });

  function mark(name, event, at, limit) {
    const y = BOX[name] + BOX.height * (1 - limit / 2);
    const shape = event.what === "suspects" ? "mark" : "open";
    return [
      made("line", { class: `${name} crossing ${event.what}`, x1: at, x2: at, y1: BOX[name], y2: BOX[name] + BOX.height }),
      name === "phi"
        ? made("circle", { class: `${name} ${shape}`, cx: at, cy: y, r: 5 })
        : made("rect", { class: `${name} ${shape}`, x: at - 5, y: y - 5, width: 10, height: 10 }),
    ];
  }

  function draw(now) {
    const level = limits();
    const right = (t) => x(clamp(t - now, -SHOWN - 1, 0));
    let upto = seen.t.length - 1;
    while (upto >= 0 && seen.t[upto] > now) upto--;
    let from = Math.max(upto, 0);
    while (from > 0 && seen.t[from] > now - SHOWN) from--;
    // Where all is the past, x clamps; one sample to the left of the picture keeps its edge.
    const state = { live, phase: word.phase, pid: word.pid, ignored: word.ignored, threshold: level.phi, k: level.fixed, t: seen.t[upto] };
    const happened = seen.events.filter((event) => event.at <= now);
    for (const [name, lane] of Object.entries(lanes)) {
      const base = BOX[name] + BOX.height;
      const middle = BOX[name] + BOX.height / 2; // the threshold; twice as much is the top
      const height = (value) => (value == null ? base : base - (BOX.height * Math.min(value / level[name], 2)) / 2);
      let area = "";
      let above = "";
      for (let i = from; i <= upto; i++) {
        const [a, b] = [(BOX.left + ((seen.t[i] - now + SHOWN) / SHOWN) * (BOX.right - BOX.left)).toFixed(1), height(seen[name][i])];
        area += `L${a},${b.toFixed(1)}`;
        above += `L${a},${Math.min(b, middle).toFixed(1)}`;
      }
      const closed = (text, y) => (text ? `M${text.slice(1).split(",", 1)[0]},${y}${text}V${y}Z` : "");
      lane.area.setAttribute("d", closed(area, base));
      lane.over.setAttribute("d", closed(above, middle));
      lane.limit.setAttribute("y1", middle);
      lane.limit.setAttribute("y2", middle);
      lane.ticks.forEach((tick, part) => (tick.textContent = number(part * level[name])));
      const own = happened.filter((event) => event.who === name);
      lane.marks.replaceChildren(...own.filter((event) => event.at > now - SHOWN).flatMap((event) => mark(name, event, right(event.at), 1)));
      const value = upto < 0 ? null : seen[name][upto];
      state[name] = value;
      state[`${name}Suspected`] = own.at(-1)?.what === "suspects";
      state[`${name}Suspicions`] = own.filter((event) => event.what === "suspects").length;
      state[`${name}Trusts`] = own.filter((event) => event.what === "trusts").length;
      const verdict = value == null ? "not known yet" : state[`${name}Suspected`] ? "suspected" : "trusted";
      const shown = value == null ? "–" : value < 100 ? value.toFixed(1) : number(value);
      levels[name].replaceChildren(...(name === "phi"
        ? ["● φ = ", node("strong", {}, shown), `${verdict} (Φ = ${number(level.phi)})`]
        : ["■ silent for ", node("strong", {}, shown), `periods: ${verdict} (k = ${number(level.fixed)})`]));
    }
    const strip = (BOX.phi + BOX.height + BOX.fixed) / 2 - 14;
    const shownBeats = seen.beats.filter((at) => at <= now && at > now - SHOWN);
    beats.setAttribute("d", shownBeats.map((at) => `M${right(at).toFixed(1)},${strip}v10`).join(""));
    deeds.replaceChildren(...happened.filter(({ who, at }) => !level[who] && at > now - SHOWN).flatMap(({ what, at }) => [
      ...["phi", "fixed"].map((name) =>
        made("line", { class: "deed", x1: right(at), x2: right(at), y1: BOX[name], y2: BOX[name] + BOX.height })),
      node("svg:text", { class: "strong middle", x: right(at), y: 12 }, actions[what]?.label ?? "gone"),
    ]));
    write(happened, level, state);
    mirror(root, { ...state, beats: shownBeats.length, frames, rate: painted.length, busy: busy() });
  }

  function write(happened, level, state) {
    const alive = actions.stop.from.includes(word.phase);
    about.textContent = alive
      ? `Process ${word.pid} ${PHASES[word.phase]}.`
      : word.phase === "lost"
        ? "The kernel is not heard any more: was it restarted? The process has ended with it. Run the cell again."
        : word.phase === "ended" ? `The process was ended: ${word.why}.` : PHASES[word.phase];
    if (logged !== happened.length) {
      logged = happened.length;
      log.replaceChildren(...happened.slice(-6).reverse().map((event) =>
        node("li", { "data-who": event.who, "data-what": event.what }, `${event.at.toFixed(2)} s  ${told(event, level)}`)));
      const crossings = happened.filter(({ who }) => level[who]);
      picture.setAttribute("aria-label",
        `φ and missed periods over ${SHOWN} seconds, each with its threshold in the middle. ` +
        (crossings.length ? `Last: ${told(crossings.at(-1), level)}.` : "No threshold was reached."));
      // Not each of them: where levels flicker, a voice would never end.
      if (live && crossings.length && performance.now() - spoken > SPEAK) {
        spoken = performance.now();
        status.textContent = `${told(crossings.at(-1), level)}. So far ${plural(state.phiSuspicions, "suspicion")} by φ, ${state.fixedSuspicions} by k × T.`;
      }
    }
    for (const name of Object.keys(buttons)) buttons[name].setAttribute("aria-disabled", !allowed(name));
    buttons.start.textContent = word.phase === "ready" ? actions.start.label : "Restart";
    sliders.threshold.show(stops.threshold.indexOf(level.phi), number(level.phi), `Phi = ${number(level.phi)}`);
    sliders.k.show(stops.k.indexOf(level.fixed), number(level.fixed), `k = ${number(level.fixed)}, ${seconds(level.fixed * model.get("period"))}`);
    lanes.phi.title.textContent = `φ, and where it reaches Φ = ${number(level.phi)}`;
    lanes.fixed.title.textContent = `periods without a heartbeat, and where they are k = ${number(level.fixed)}: ${seconds(level.fixed * model.get("period"))}`;
  }

  /** The example is the kernel's, and belongs to its sliders. */
  const busy = () => !live && (model.get("example").threshold !== model.get("threshold") || model.get("example").k !== model.get("k"));

  /** How far to show: a fifth of a second behind the kernel's clock, and not further than is known. */
  function end() {
    const last = seen.t.at(-1) ?? 0;
    return over || !offsets.length ? last : Math.min(last, performance.now() / 1000 - Math.min(...offsets) - DELAY);
  }

  function frame(time) {
    request = requestAnimationFrame(frame);
    if (motion.matches && time - (painted.at(-1) ?? 0) < CALM) return;
    const now = end();
    const waited = (performance.now() - heard) / 1000;
    if (waited > LOST) word = { ...word, phase: "lost" };
    if (over || word.phase === "lost") stop();
    frames += 1;
    painted.push(time);
    while (painted[0] < time - 1000) painted.shift();
    draw(now);
  }
  const go = () => (request ||= requestAnimationFrame(frame));
  const stop = () => {
    cancelAnimationFrame(request);
    request = 0;
  };

  // ---- the kernel ----
  const listen = (content) => {
    heard = performance.now();
    const { t, phi, fixed, beats: came, events, whole, ...rest } = content;
    word = rest;
    over = rest.why !== "";
    if (whole) {
      [seen, offsets, logged, live] = [{ t: [], phi: [], fixed: [], beats: [], events: [] }, [], -1, true];
    }
    if (!live) return; // it comes in the middle; all of it will be sent
    for (const [name, more] of Object.entries({ t, phi, fixed, beats: came, events })) seen[name].push(...more);
    if (t.length) offsets = [...offsets.slice(-100), heard / 1000 - t.at(-1)];
    if (seen.t.length > 3000) for (const name of ["t", "phi", "fixed"]) seen[name] = seen[name].slice(-1500);
    if (seen.beats.length > 1000) seen.beats = seen.beats.slice(-500);
    if (seen.events.length > 400) seen.events = seen.events.slice(-200);
    if (over) draw(end());
    else go();
  };
  const asking = setInterval(() => model.get("begun") && !over && word.phase !== "lost" && send({}), ASK);
  const changed = () => {
    if (!live) {
      seen = model.get("example");
      logged = -1;
    }
    if (over) draw(end());
  };
  model.on("msg:custom", listen);
  model.on("change", changed);

  root.append(
    node("div", { class: "row", role: "group", "aria-label": "The sender" }, ...Object.values(buttons)),
    node("p", {}, about),
    node("div", { class: "controls" }, sliders.threshold.element, sliders.k.element),
    node("div", { class: "now" }, levels.phi, levels.fixed),
    picture,
    log,
    status,
  );
  draw(end());
  el.append(root);
  if (model.get("begun")) send({}); // it may run already, or have run
  return () => {
    stop();
    clearInterval(asking);
    model.off("msg:custom", listen);
    model.off("change", changed);
    if (model.get("begun")) send({ gone: true });
  };
}

export default { render };
