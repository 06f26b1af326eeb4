// Does it work here? A few questions to the kernel, and how long the answers took.

const ROUNDS = 5;
const PATIENCE = 20; // s; a kernel that still works through the cells above answers late

function render({ model, el }) {
  const root = node("div", { class: "accrual", "data-widget": "self-test", role: "status" });
  const words = node("p");
  const took = [];
  let asked;

  const tell = (state, text) => {
    words.textContent = text;
    mirror(root, { state, rounds: took.length, milliseconds: took.length ? Math.min(...took) : null });
  };
  const ask = () => {
    asked = performance.now();
    model.send({ ask: took.length });
  };
  const patience = setTimeout(
    () => tell("silent", `✗ The kernel has not answered for ${PATIENCE} s. Is it busy, or gone? "accrual doctor" in a terminal says more.`),
    1000 * PATIENCE,
  );
  const heard = (content) => {
    if (content.answer !== took.length || took.length === ROUNDS) return;
    took.push(performance.now() - asked);
    if (took.length < ROUNDS) return ask();
    clearTimeout(patience);
    tell("works", `✓ works: this page asked the kernel ${ROUNDS} times; the fastest answer took ${seconds(Math.min(...took) / 1000, 2)}.`);
  };
  model.on("msg:custom", heard);
  tell("asking", "… asking the kernel.");
  ask();
  root.append(words);
  el.append(root);
  return () => {
    clearTimeout(patience);
    model.off("msg:custom", heard);
  };
}

export default { render };
