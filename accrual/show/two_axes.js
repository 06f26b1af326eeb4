// The map of strategies: designs are placed on two axes, what is divided and at which boundary.

const AXES = [["function", "divided by function"], ["resource", "divided by resource"]];

function render({ model, el }) {
  const [designs, levels] = [model.get("designs"), model.get("levels")];
  const root = node("div", { class: "accrual", "data-widget": "two-axes" });
  const move = mover(model);
  const picks = designs.map((design, k) => button(`${k + 1}`, `Design ${k + 1}: ${design.text}`, () => move("design", k)));
  const asked = node("p", { class: "asked" });
  const words = node("p", { class: "verdict", "aria-live": "polite" });
  const place = (axis, level) => {
    move("placed", { ...model.get("placed"), [model.get("design")]: `${axis}:${level}` });
  };
  const cells = {};
  const rows = levels.map((level) =>
    node("tr", {}, node("th", { scope: "row" }, level.title), ...AXES.map(([axis, title]) => {
      const cell = button("", "", () => place(axis, level.name));
      cell.dataset.cell = `${axis}:${level.name}`;
      cells[`${axis}:${level.name}`] = { cell, title: `${level.title}, ${title}` };
      return node("td", {}, cell);
    })));
  const head = node("tr", {}, node("th", { scope: "col" }, "boundary"), ...AXES.map(([, title]) => node("th", { scope: "col" }, title)));

  const verdict = (k, where) => {
    const design = designs[k];
    const [axis, name] = where.split(":");
    const level = levels.find((one) => one.name === design.level);
    if (axis === design.axis && name === design.level) {
      const { takes } = level;
      return `✓ ${design.why} With three services kept apart like this, a segmentation fault takes ${takes.segfault} of 3, ` +
        `a kernel panic ${takes["kernel-panic"]}, a pulled plug ${takes.plug}.`;
    }
    if (name === design.level)
      return "✗ not there. The boundary is right; but what does each part have of its own: a kind of work, or a share of the hardware?";
    const right = axis === design.axis ? "What is divided is right; but ask" : "Ask";
    return `✗ not there. ${right} what the parts still have in common: the innermost thing that they share lies one boundary further out.`;
  };

  const draw = () => {
    const [k, placed] = [model.get("design"), model.get("placed")];
    const right = designs.map((design, i) => placed[i] === `${design.axis}:${design.level}`);
    asked.textContent = `Design ${k + 1}: ${designs[k].text}. Where does it belong? Click a field.`;
    picks.forEach((pick, i) => {
      pick.setAttribute("aria-pressed", i === k);
      pick.textContent = `${i + 1}${placed[i] ? (right[i] ? " ✓" : " ✗") : ""}`;
    });
    for (const [where, { cell, title }] of Object.entries(cells)) {
      const here = designs.map((_, i) => i).filter((i) => placed[i] === where);
      cell.replaceChildren(...here.map((i) => node("span", { class: right[i] ? "right" : "wrong" }, `${i + 1} ${right[i] ? "✓" : "✗"}`)));
      cell.setAttribute("aria-label", here.length ? `${title}: design ${here.map((i) => i + 1).join(", ")}` : title);
    }
    words.textContent = placed[k] ? verdict(k, placed[k]) : `${right.filter(Boolean).length} of ${designs.length} in their places.`;
    mirror(root, { design: k, placed: Object.keys(placed).length, right: right.filter(Boolean).length });
  };
  root.append(
    node("div", { class: "row" }, node("span", {}, "Design"), ...picks), asked,
    node("table", { class: "map" }, node("thead", {}, head), node("tbody", {}, ...rows)), words,
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
