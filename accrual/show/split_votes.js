// Elections one by one, and how often the first vote elects nobody.

const BOX = { left: 60, right: 740, top: 26, bottom: 200 };

function render({ model, el }) {
  const stops = model.get("stops").range;
  const splits = model.get("splits");
  const root = node("div", { class: "accrual", "data-widget": "split-votes" });
  const svg = node("svg:svg", { viewBox: "0 0 760 250", role: "img" });
  const words = node("p");
  const control = slider("range", "Range of timeouts", stops.length, (at) => {
    model.set("range", stops[at]);
    model.save_changes();
  });
  const all = splits.flatMap((found) => found.elections);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const x = scale(low, high, BOX.left, BOX.right, true);

  const draw = () => {
    const at = stops.indexOf(model.get("range"));
    const found = splits[at];
    const { elections } = found;
    const y = scale(0, 1, BOX.bottom, BOX.top);
    const median = (elections[Math.floor((elections.length - 1) / 2)] + elections[Math.ceil((elections.length - 1) / 2)]) / 2;
    const share = found.split / elections.length;
    const parts = [node("svg:text", { x: 4, y: 14 }, "share of the elections that are over by then")];
    for (const p of [0, 0.25, 0.5, 0.75, 1])
      parts.push(
        node("svg:line", { class: "grid", x1: BOX.left, x2: BOX.right, y1: y(p), y2: y(p) }),
        node("svg:text", { class: "end", x: BOX.left - 8, y: y(p) + 4 }, `${100 * p} %`),
      );
    for (const t of decades(low, high)) parts.push(node("svg:text", { class: "middle", x: x(t), y: BOX.bottom + 20 }, seconds(t)));
    parts.push(
      node("svg:text", { class: "end", x: BOX.right, y: BOX.bottom + 38 }, "after the suspicion"),
      ...splits.filter((one) => one !== found).map((one) => node("svg:path", { class: "others", d: steps(one.elections, x, y) })),
      node("svg:path", { class: "phi curve", d: steps(elections, x, y) }),
      node("svg:circle", { class: "phi mark", cx: x(median), cy: y(0.5), r: 7 }),
      node("svg:text", { class: "phi", x: x(median) + 12, y: y(0.5) + 18 }, `median ${seconds(median)}`),
    );
    svg.replaceChildren(...parts);
    const said =
      `Timeouts within ${found.range} ms: ${found.split} of ${elections.length} first votes elected nobody; by the formula ${number(100 * found.formula)} %. ` +
      `An election took ${seconds(median)} (median), ${seconds(elections.at(-1))} at most.`;
    words.textContent = said;
    svg.setAttribute("aria-label", said);
    control.show(at, `${found.range} ms`, said);
    mirror(root, { range: found.range, split: found.split, share, formula: found.formula, median, longest: elections.at(-1) });
  };
  root.append(svg, control.element, words);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

/** The distribution as it was measured: a step for each election. */
function steps(elections, x, y) {
  const points = [[x(elections[0]), y(0)]];
  elections.forEach((t, k) => points.push([x(t), y(k / elections.length)], [x(t), y((k + 1) / elections.length)]));
  return line(points);
}

export default { render };
