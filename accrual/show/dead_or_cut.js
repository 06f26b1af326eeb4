// A game: who suspects whom is shown; what is the matter?

function verdict(round, guess) {
  const doubt = round.could_be.length ? ` The same matrix could be: ${round.could_be.join(", ")}.` : " Nothing else gives this matrix.";
  const library = `accrual says: ${round.recognised}.${doubt} ${round.advice}`;
  if (guess === round.kind) return `✓ ${guess}. ${round.truth} ${library}`;
  const fits = guess === round.recognised || round.could_be.includes(guess);
  // No cross for what nobody could have known.
  if (fits) return `◐ ${guess} fits what you see just as well as ${round.kind}, which it was: from here there is no way to tell. ${round.truth} ${library}`;
  return `✗ it was: ${round.kind}. ${round.truth} ${library}`;
}

function render({ model, el }) {
  const [cases, kinds, nodes] = ["cases", "kinds", "nodes"].map((name) => model.get(name));
  const root = node("div", { class: "accrual", "data-widget": "dead-or-cut" });
  const table = node("table", { class: "suspicions" });
  const words = node("p");
  const said = node("p", { class: "verdict", "aria-live": "polite" });
  const set = (values) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  };
  const rows = picks("Round", cases.map((_, k) => `${k + 1}`), (index) => set({ case: index, guess: "" }));
  const guesses = picks("It is", kinds, (index) => set({ guess: kinds[index] }));

  const cell = (value, observer, peer) => {
    if (observer === peer) return node("td", {}, "");
    const [mark, meaning, kind] =
      value == null ? ["?", "not known", "unknown"] : value ? ["✗", "suspects", "suspects"] : ["✓", "hears", "hears"];
    return node("td", { class: kind, title: `${observer} ${meaning} ${peer}`, "aria-label": `${observer} ${meaning} ${peer}` }, mark);
  };
  const draw = () => {
    const [index, guess] = [model.get("case"), model.get("guess")];
    const round = cases[index];
    table.replaceChildren(
      node("thead", {}, node("tr", {}, node("th", {}, "who about whom"), ...nodes.map((name) => node("th", { scope: "col" }, name)))),
      node("tbody", {}, ...nodes.map((observer, i) => {
        const silent = nodes.every((_, k) => round.matrix[i][k] == null);
        const row = node("th", { scope: "row" }, silent ? `${observer} (no report)` : observer);
        return node("tr", {}, row, ...nodes.map((peer, k) => cell(round.matrix[i][k], observer, peer)));
      })),
    );
    words.textContent = round.asker
      ? `You stand at ${round.asker}, and see the reports that reach it, also through others. ✗ suspects, ✓ hears, ? no report.`
      : "You are outside and reach every living node by another road. ✗ suspects, ✓ hears, ? no report.";
    said.textContent = guess ? verdict(round, guess) : "What is the matter? Say it; then you are told.";
    rows.buttons.forEach((made, k) => made.setAttribute("aria-pressed", String(k === index)));
    guesses.buttons.forEach((made, k) => made.setAttribute("aria-pressed", String(kinds[k] === guess)));
    mirror(root, {
      case: index + 1,
      suspects: round.matrix.flat().filter((value) => value === true).length,
      unknown: nodes.filter((_, i) => nodes.every((_, k) => round.matrix[i][k] == null)).length,
      guess: guess || "none",
      // Not before the guess: a game is not won by looking into the page.
      recognised: guess ? round.recognised : "hidden",
      right: guess ? guess === round.kind : "hidden",
    });
  };
  root.append(rows.element, words, table, guesses.element, said);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
