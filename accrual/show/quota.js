// A group at its CPU quota: slices in which it runs, and the heartbeats that leave in them.

const TRACK = { left: 20, right: 720, top: 46, height: 44 };

function render({ model, el }) {
  const [stops, found, period, span] = ["stops", "found", "period", "span"].map((name) => model.get(name));
  const root = node("div", { class: "accrual", "data-widget": "quota" });
  const move = (name) => (index) => {
    model.set(name, stops[name][index]);
    model.save_changes();
  };
  const share = slider("share", "Processor share", stops.share.length, move("share"));
  const quota = slider("quota", "Counted over", stops.quota.length, move("quota"));
  const bottom = TRACK.top + TRACK.height;
  const svg = node("svg:svg", { viewBox: `0 0 760 ${bottom + 34}`, role: "img" });
  const words = node("p", { class: "verdict", "aria-live": "polite" });
  const x = scale(0, span, TRACK.left, TRACK.right);

  const draw = () => {
    const [i, j] = [stops.share.indexOf(model.get("share")), stops.quota.indexOf(model.get("quota"))];
    const { beats, longest, k } = found[i][j];
    const [part, over] = [stops.share[i], stops.quota[j]];
    const now = `${number(100 * part)} % of each ${seconds(over)}: heartbeats come up to ${seconds(longest)} apart, ` +
      `where ${seconds(period)} was agreed. A timeout of k × T has to have k = ${k} or more.`;
    share.show(i, `${number(100 * part)} %`, now);
    quota.show(j, seconds(over), now);
    const slices = Array.from({ length: Math.ceil(span / over - 1e-9) }, (_, n) => n * over);
    svg.replaceChildren(
      node("svg:text", { x: TRACK.left, y: 12 }, "shaded: the group runs; between: held back;  | a heartbeat leaves"),
      ...slices.map((from) => node("svg:rect", {
        class: "runs", x: x(from), y: TRACK.top, width: Math.max(x(Math.min(from + part * over, span)) - x(from), 0.5), height: TRACK.height,
      })),
      ...beats.map((beat) => node("svg:line", { class: "beat", x1: x(beat), x2: x(beat), y1: TRACK.top - 8, y2: bottom })),
      node("svg:line", { class: "axis", x1: TRACK.left, x2: TRACK.right, y1: bottom, y2: bottom }),
      ...rounds(0, span).map((t) => node("svg:text", { class: "middle", x: x(t), y: bottom + 18 }, t ? seconds(t) : "0")),
    );
    svg.setAttribute("aria-label", now);
    words.textContent = now;
    mirror(root, { share: part, quota: over, longest, k });
  };
  root.append(share.element, quota.element, svg, words);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
