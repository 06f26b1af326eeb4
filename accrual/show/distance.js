// One timeout on each rung of the ladder: mistakes in a minute, on a logarithmic scale, and what phi makes of the same.

const PLOT = { left: 262, right: 570, top: 44, row: 40 };
const LEAST = 0.03; // mistakes in a minute: less than one in half an hour, which most of the recordings are too short for

function render({ model, el }) {
  const [stops, rungs] = [model.get("stops"), model.get("rungs")];
  const root = node("div", { class: "accrual", "data-widget": "distance" });
  const timeout = slider("timeout", "One timeout for all", stops.length, (index) => {
    model.set("timeout", stops[index]);
    model.save_changes();
  });
  const bottom = PLOT.top + PLOT.row * rungs.length;
  const svg = node("svg:svg", { viewBox: `0 0 760 ${bottom + 40}`, role: "img" });
  const words = node("p", { class: "verdict", "aria-live": "polite" });
  const most = Math.max(...rungs.flatMap((rung) => rung.fixed_rate)) * 1.5;
  const x = scale(LEAST, most, PLOT.left, PLOT.right, true);

  const draw = () => {
    const at = stops.indexOf(model.get("timeout"));
    const bad = rungs.filter((rung) => rung.fixed_rate[at] > 1);
    const slow = rungs.filter((rung) => rung.needs !== null && rung.needs < stops[at]);
    const list = (some) => (some.length ? some.map((rung) => rung.level).join(", ") : "none");
    const now = `${seconds(stops[at])} everywhere. More than one mistake in a minute: ${list(bad)}. Longer than needed: ${list(slow)}.`;
    timeout.show(at, seconds(stops[at]), now);
    svg.replaceChildren(
      node("svg:text", { x: PLOT.left, y: 12 }, "mistakes in a minute: ■ the timeout, ● φ ≥ 8"),
      node("svg:text", { class: "end", x: 660, y: 12 }, "needs"),
      node("svg:text", { class: "end", x: 752, y: 12 }, "detects in ● φ"),
      ...decades(LEAST, most).filter((rate) => Math.abs(Math.log10(rate) % 1) < 1e-6).flatMap((rate) => [
        node("svg:line", { class: "grid", x1: x(rate), x2: x(rate), y1: PLOT.top - 16, y2: bottom - 10 }),
        node("svg:text", { class: "middle", x: x(rate), y: bottom + 8 }, number(rate)),
      ]),
      node("svg:text", { class: "end", x: PLOT.left - 8, y: bottom + 8 }, "none seen: at the left edge"),
      ...rungs.flatMap((rung, k) => {
        const y = PLOT.top + PLOT.row * k + 4;
        const rate = rung.fixed_rate[at];
        return [
          node("svg:text", { class: "strong end", x: PLOT.left - 14, y: y - 2 }, rung.title),
          node("svg:text", { class: "end", x: PLOT.left - 14, y: y + 13 }, `round trip ${seconds(rung.round_trip)}, σ ${seconds(rung.deviation)}${rung.source.startsWith("assumed") ? " (assumed)" : ""}`),
          node("svg:line", { class: "grid", x1: PLOT.left, x2: PLOT.right, y1: y, y2: y }),
          node("svg:circle", { class: rung.phi_rate ? "phi mark" : "phi open", cx: x(Math.max(rung.phi_rate, LEAST)), cy: y - 5, r: 5.5 }),
          node("svg:rect", { class: rate ? "fixed mark" : "fixed open", x: x(Math.max(rate, LEAST)) - 6, y: y - 1, width: 12, height: 12 }),
          node("svg:text", { class: "end strong", x: 660, y: y + 4 }, rung.needs === null ? `> ${seconds(stops.at(-1))}` : seconds(rung.needs)),
          node("svg:text", { class: "end", x: 752, y: y + 4 }, seconds(rung.phi_detection)),
        ];
      }),
    );
    const rows = rungs.map((rung) => `${rung.title}: ${number(rung.fixed_rate[at])} by the timeout, ${number(rung.phi_rate)} by phi`);
    svg.setAttribute("aria-label", `Mistakes in a minute. ${rows.join("; ")}. ${now}`);
    words.textContent = now;
    mirror(root, { timeout: stops[at], bad: bad.length, slow: slow.length,
      ...Object.fromEntries(rungs.map((rung) => [`${rung.level}Rate`, rung.fixed_rate[at]])) });
  };
  root.append(timeout.element, svg, words);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
