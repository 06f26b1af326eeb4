// The table of strategies: filled in first, then revealed, with what each level costs.

const memory = (mb) => (mb >= 1024 ? `${number(mb / 1024)} GB` : mb >= 1 ? `${number(mb)} MB` : `${number(1000 * mb)} kB`);

function render({ model, el }) {
  const [faults, levels] = [model.get("faults"), model.get("levels")];
  const root = node("div", { class: "accrual", "data-widget": "strategies" });
  const move = mover(model);
  const cells = [];
  const body = levels.map((level) => node("tr", {},
    node("th", { scope: "row" }, level.title, node("small", {}, ` ${level.own}`)),
    ...faults.map((fault) => {
      const key = `${level.name}:${fault.name}`;
      const cell = button("?", "", () => {
        const guesses = model.get("guesses");
        move("guesses", { ...guesses, [key]: guesses[key] === 3 ? 1 : 3 });
      });
      cell.dataset.cell = key;
      cells.push({ key, cell, said: `${fault.title}, ${level.title}`, truth: level.takes[fault.name] });
      return node("td", {}, cell);
    })));
  const head = node("tr", {}, node("th", { scope: "col" }, "each service has to itself"), ...faults.map(({ title }) => node("th", { scope: "col" }, title)));
  const reveal = button("Reveal", "Reveal the table, and what each level costs", () => move("revealed", !model.get("revealed")));
  const words = node("p", { "aria-live": "polite" });
  const costs = node("table");
  costs.append(
    node("thead", {}, node("tr", {}, 
      ...["", "start", "memory, idle", "round trip"].map((text) => node("th", { scope: "col" }, text)),
      ...["talk by", "used for"].map((text) => node("th", { scope: "col", class: "words" }, text)))),
    node("tbody", {}, ...levels.map((level) => {
      const mark = level.measured ? "● " : "○ ";
      return node("tr", {}, node("th", { scope: "row" }, level.title),
        ...[seconds(level.start), memory(level.memory), seconds(level.round_trip)].map((text) => node("td", { class: "figure" }, mark + text)),
        node("td", { class: "words" }, level.talk), node("td", { class: "words" }, level.use));
    })),
  );
  const key = node("p", {}, "● measured by the lab, ○ measured elsewhere or assumed: orders of magnitude (accrual.isolation.COSTS says which).");

  const draw = () => {
    const [guesses, revealed] = [model.get("guesses"), model.get("revealed")];
    let right = 0;
    for (const { key, cell, said, truth } of cells) {
      const guess = guesses[key];
      const good = guess === truth;
      right += good;
      cell.textContent = revealed ? `${truth} of 3${guess ? (good ? " ✓" : " ✗") : ""}` : guess ? `${guess} of 3` : "?";
      cell.className = revealed && guess ? (good ? "right" : "wrong") : "";
      cell.setAttribute("aria-label", `${said}: ${revealed ? `takes ${truth} of 3${guess ? `, you said ${guess}` : ""}` : guess ? `you say ${guess} of 3` : "not filled in"}`);
      cell.disabled = revealed;
    }
    const filled = Object.keys(guesses).length;
    reveal.textContent = revealed ? "Hide" : "Reveal";
    words.textContent = revealed ? `${right} of your ${filled} are right.`
      : `A fault in payment: how many of the 3 services does it take? Click a field: 3, then 1. ${filled} of ${cells.length} filled in.`;
    for (const part of [costs, key]) part.hidden = !revealed;
    mirror(root, { filled, revealed, right: revealed ? right : null });
  };
  root.append(words, node("table", { class: "map" }, node("thead", {}, head), node("tbody", {}, ...body)), node("div", { class: "row" }, reveal), costs, key);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
