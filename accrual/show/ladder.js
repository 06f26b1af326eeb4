// The ladder of latency: a bar for each way to ask, from half of the answers to 99 in 100, on a logarithmic scale.

const BARS = { left: 214, right: 560, top: 36, row: 26 };

function render({ model, el }) {
  const [stops, rungs, about] = ["stops", "rungs", "about"].map((name) => model.get(name));
  const root = node("div", { class: "accrual", "data-widget": "ladder" });
  const questions = slider("questions", "Questions for one order", stops.length, (index) => {
    model.set("questions", stops[index]);
    model.save_changes();
  });
  const height = BARS.top + BARS.row * rungs.length + 30;
  const svg = node("svg:svg", { viewBox: `0 0 760 ${height}`, role: "img" });
  const words = node("p");
  const [lowest, highest] = [Math.min(...rungs.map(({ p50 }) => p50)), Math.max(...rungs.map(({ p99 }) => p99))];
  const x = scale(lowest * 0.6, highest * 1.3, BARS.left, BARS.right, true);
  const bottom = BARS.top + BARS.row * rungs.length;

  const draw = () => {
    const index = stops.indexOf(model.get("questions"));
    const now = `${plural(stops[index], "question")} for an order: ${seconds(rungs[0].order[index])} by ${rungs[0].rung}, ` +
      `${seconds(rungs.at(-1).order[index])} by ${rungs.at(-1).rung} (medians).`;
    questions.show(index, count(stops[index]), now);
    svg.replaceChildren(
      node("svg:text", { x: BARS.left, y: 12 }, "a question and its answer: ● half of them, ⊢ 99 in 100 take no longer"),
      node("svg:text", { class: "end strong", x: 752, y: 12 }, `× ${count(stops[index])}`),
      ...decades(lowest * 0.6, highest * 1.3).flatMap((t) => [
        node("svg:line", { class: "grid", x1: x(t), x2: x(t), y1: BARS.top - 12, y2: bottom - 8 }),
        node("svg:text", { class: "middle", x: x(t), y: bottom + 10 }, seconds(t)),
      ]),
      ...rungs.flatMap((rung, k) => {
        const y = BARS.top + BARS.row * k;
        return [
          node("svg:text", { class: "end strong", x: BARS.left - 12, y: y + 4 }, rung.rung),
          node("svg:line", { class: "phi reach", x1: x(rung.p50), x2: x(rung.p99), y1: y, y2: y }),
          node("svg:line", { class: "phi reach", x1: x(rung.p99), x2: x(rung.p99), y1: y - 5, y2: y + 5 }),
          node("svg:circle", { class: "phi mark", cx: x(rung.p50), cy: y, r: 5 },
            node("svg:title", {}, `${rung.rung}, between ${rung.between}: ${seconds(rung.p50)}, 99 in 100 within ${seconds(rung.p99)}`)),
          node("svg:text", { class: "end", x: 648, y: y + 4 }, seconds(rung.p50)),
          node("svg:text", { class: "end strong", x: 752, y: y + 4 }, seconds(rung.order[index])),
        ];
      }),
    );
    svg.setAttribute("aria-label", `${now} ${rungs.map((rung) => `${rung.rung}: ${seconds(rung.p50)}`).join("; ")}.`);
    words.textContent = `${now} ${about[0].toUpperCase()}${about.slice(1)}.`;
    mirror(root, { questions: stops[index], first: rungs[0].order[index], last: rungs.at(-1).order[index] });
  };
  root.append(questions.element, svg, words);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
