// Mean times to failure and to repair, and the availability that they make.

const SCALE = { left: 40, right: 730, y: 150, least: 1, most: 31557600 };
const YEAR = { left: 40, right: 730, top: 26, bottom: 58, seconds: 31557600 };
const MOST_STRIPES = 400; // more failures a year than that are not told apart

/** A duration as people say it. */
function span(s) {
  const [name, size] = [["s", 1, 120], ["min", 60, 7200], ["h", 3600, 172800], ["days", 86400, Infinity]].find(([, , to]) => s < to);
  return s < 1 ? seconds(s) : `${number(s / size)} ${name}`;
}

/** 99.9 % and so on: as many digits as it takes. */
function percent(found) {
  const digits = Math.max(1, Math.ceil(found.nines));
  return `${(100 * found.share).toFixed(Math.min(Math.max(digits - 1, 1), 9))} %`;
}

function picture(found, mttf, mttr) {
  const parts = [node("svg:text", { x: YEAR.left, y: 16 }, "a year, if every time were the mean (blue: works, orange: down)")];
  const x = scale(0, YEAR.seconds, YEAR.left, YEAR.right);
  const height = YEAR.bottom - YEAR.top;
  parts.push(node("svg:rect", { class: "up", x: YEAR.left, y: YEAR.top, width: YEAR.right - YEAR.left, height }));
  if (found.failures <= MOST_STRIPES) {
    for (let down = mttf; down < YEAR.seconds; down += mttf + mttr)
      parts.push(node("svg:rect", { class: "down", x: x(down), y: YEAR.top, width: Math.max(x(down + mttr) - x(down), 1), height }));
  } else {
    parts.push(
      node("svg:rect", { class: "down", x: YEAR.left, y: YEAR.top, width: YEAR.right - YEAR.left, height, opacity: Math.max(found.unavailability, 0.15) }),
      node("svg:text", { class: "middle strong", x: (YEAR.left + YEAR.right) / 2, y: YEAR.top + 21 }, often(found)),
    );
  }
  const at = scale(SCALE.least, SCALE.most, SCALE.right, SCALE.left, true);
  parts.push(
    node("svg:text", { x: SCALE.left, y: 98 }, "down in a year; nines above the line"),
    node("svg:line", { class: "axis", x1: SCALE.left, x2: SCALE.right, y1: SCALE.y, y2: SCALE.y }),
  );
  for (let nines = 1; nines <= 7; nines++) {
    const s = YEAR.seconds * 10 ** -nines;
    parts.push(
      node("svg:line", { class: "axis", x1: at(s), x2: at(s), y1: SCALE.y - 8, y2: SCALE.y + 8 }),
      node("svg:text", { class: "middle strong", x: at(s), y: SCALE.y - 26 }, `${nines} nine${nines > 1 ? "s" : ""}`),
      node("svg:text", { class: "middle", x: at(s), y: SCALE.y + 26 }, span(s)),
    );
  }
  parts.push(node("svg:circle", { class: "phi mark", cx: at(found.downtime), cy: SCALE.y, r: 8 }));
  return parts;
}

function often(found) {
  if (found.failures < 1.5) return `a failure every ${span(YEAR.seconds / found.failures)}`;
  return `${found.failures < 100 ? number(found.failures) : count(Math.round(found.failures))} failures a year`;
}

function sentence(found, mttf, mttr) {
  return (
    `Works for ${mttf.text}, then is repaired in ${mttr.text}: ${percent(found)} available, ${number(found.nines)} nines. ` +
    `Down for ${span(found.downtime)} a year; ${often(found)}.`
  );
}

function render({ model, el }) {
  const stops = model.get("stops");
  const table = model.get("table");
  const root = node("div", { class: "accrual", "data-widget": "nines" });
  const svg = node("svg:svg", { viewBox: "0 0 760 190", role: "img" });
  const words = node("p");
  const labels = { mttf: "Time to failure, MTTF", mttr: "Time to repair, MTTR" };
  const sliders = Object.entries(labels).map(([name, label]) => [
    name,
    slider(name, label, stops[name].length, (index) => {
      model.set(name, index);
      model.save_changes();
    }),
  ]);
  const draw = () => {
    const [mttf, mttr] = [stops.mttf[model.get("mttf")], stops.mttr[model.get("mttr")]];
    const found = table[model.get("mttf")][model.get("mttr")];
    const said = sentence(found, mttf, mttr);
    svg.replaceChildren(...picture(found, mttf.seconds, mttr.seconds));
    svg.setAttribute("aria-label", said);
    words.textContent = said;
    for (const [name, { show }] of sliders) show(model.get(name), stops[name][model.get(name)].text, said);
    mirror(root, { mttf: mttf.seconds, mttr: mttr.seconds, ...found });
  };
  root.append(node("div", { class: "controls" }, ...sliders.map(([, { element }]) => element)), svg, words);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
