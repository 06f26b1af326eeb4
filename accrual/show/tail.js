// Steps 2 and 3: the window's distribution, the tail beyond the silence so far, and phi.

const LEFT = 52;
const RIGHT = 752;
const UPPER = { top: 26, bottom: 186 };
const LOWER = { top: 232, bottom: 372 };

function picture(n, stop) {
  const x = scale(n.edges[0], n.edges.at(-1), LEFT, RIGHT);
  const t = x(n.elapsed[stop]);
  const parts = [];
  for (const second of rounds(n.edges[0], n.edges.at(-1))) {
    parts.push(
      node("svg:line", { class: "grid", x1: x(second), x2: x(second), y1: UPPER.top, y2: LOWER.bottom }),
      node("svg:text", { class: "middle", x: x(second), y: LOWER.bottom + 16 }, number(second * 1e3, 4)),
    );
  }
  parts.push(
    node("svg:text", { class: "end", x: RIGHT, y: LOWER.bottom + 32 }, "time since the last heartbeat [ms]"),
    node("svg:text", { x: LEFT, y: 14 }, "intervals in the window (bars) and the fitted normal law (line); shaded: later than t"),
    node("svg:text", { x: LEFT, y: LOWER.top - 12 }, "φ, if no heartbeat comes"),
  );

  const height = scale(0, 1.08 * Math.max(...n.counts, ...n.expected), UPPER.bottom, UPPER.top);
  n.counts.forEach((intervals, k) => {
    if (!intervals) return;
    const [from, to] = [x(n.edges[k]), x(n.edges[k + 1])];
    parts.push(node("svg:rect", { class: "bar", x: from + 0.5, width: to - from - 1, y: height(intervals), height: UPPER.bottom - height(intervals) }));
  });
  const bell = n.elapsed.map((e, k) => [x(e), height(n.expected[k])]);
  parts.push(
    node("svg:path", { class: "phi area", d: `${line([[t, UPPER.bottom], ...bell.slice(stop), [RIGHT, UPPER.bottom]])}Z` }),
    node("svg:path", { class: "phi curve", d: line(bell) }),
    node("svg:line", { class: "axis", x1: LEFT, x2: RIGHT, y1: UPPER.bottom, y2: UPPER.bottom }),
  );
  for (const value of rounds(0, Math.max(...n.counts)))
    parts.push(node("svg:text", { class: "end", x: LEFT - 6, y: height(value) + 4 }, count(value)));
  if (n.beyond)
    parts.push(node("svg:text", { class: "end strong", x: RIGHT, y: UPPER.top + 12 }, `and ${plural(n.beyond, "interval")} beyond the right edge →`));

  const top = n.phi.at(-1);
  const rise = scale(0, top, LOWER.bottom, LOWER.top);
  for (const value of rounds(0, top))
    parts.push(
      node("svg:line", { class: "grid", x1: LEFT, x2: RIGHT, y1: rise(value), y2: rise(value) }),
      node("svg:text", { class: "end", x: LEFT - 6, y: rise(value) + 4 }, number(value)),
    );
  parts.push(
    node("svg:path", { class: "phi curve", d: line(n.elapsed.map((e, k) => [x(e), rise(n.phi[k])])) }),
    node("svg:line", { class: "axis", x1: LEFT, x2: RIGHT, y1: LOWER.bottom, y2: LOWER.bottom }),
    node("svg:line", { class: "axis", x1: t, x2: t, y1: UPPER.top, y2: LOWER.bottom, "stroke-dasharray": "2 3" }),
    node("svg:circle", { class: "phi mark", cx: t, cy: rise(n.phi[stop]), r: 6 }),
    node("svg:text", { class: t > 130 ? "phi end" : "phi", x: t > 130 ? t - 12 : t + 12, y: rise(n.phi[stop]) - 10 }, `φ = ${number(n.phi[stop])}`),
  );
  return parts;
}

function sentence(n, stop) {
  return (
    `${seconds(n.elapsed[stop], 4)} after the last heartbeat: P_later = ${number(n.later[stop])}, φ = ${number(n.phi[stop])}. ` +
    `Of the ${count(n.intervals)} intervals in the window, ${count(n.outlived[stop])} were longer; the law expects ${number(n.intervals * n.later[stop])}.`
  );
}

function render({ model, el }) {
  const n = model.get("numbers");
  const root = node("div", { class: "accrual", "data-widget": "tail" });
  const svg = node("svg:svg", { viewBox: "0 0 760 410", role: "img" });
  const words = node("p");
  const silence = slider("stop", "Silence so far, t", n.elapsed.length, (index) => {
    model.set("stop", index);
    model.save_changes();
  });

  const draw = () => {
    const stop = model.get("stop");
    svg.replaceChildren(...picture(n, stop));
    svg.setAttribute("aria-label", sentence(n, stop));
    const [before, after] = sentence(n, stop).split("P_later");
    words.replaceChildren(before, ...symbol("P", "later"), after);
    silence.show(stop, seconds(n.elapsed[stop], 4), sentence(n, stop));
    mirror(root, { elapsed: n.elapsed[stop], later: n.later[stop], phi: n.phi[stop], outlived: n.outlived[stop] });
  };
  root.append(silence.element, svg, words);
  model.on("change:stop", draw);
  draw();
  el.append(root);
  return () => model.off("change:stop", draw);
}

export default { render };
