// A game: a peer falls silent. What happened to it? Only what an observer can see is shown until somebody has guessed.

const LEFT = 60;
const RIGHT = 740;
const SEEN = 66; // the observer's line
const PEER = 176; // the peer's

function picture(story, at, end, told) {
  const x = scale(0, end, LEFT, RIGHT);
  const parts = [];
  for (const second of rounds(0, end))
    parts.push(
      node("svg:line", { class: "grid", x1: x(second), x2: x(second), y1: 30, y2: PEER + 20 }),
      node("svg:text", { class: "middle", x: x(second), y: PEER + 36 }, number(second)),
    );
  parts.push(
    node("svg:text", { class: "end", x: RIGHT, y: PEER + 52 }, "seconds on the observer's clock"),
    node("svg:text", { class: "end strong", x: LEFT - 8, y: SEEN + 4 }, "you"),
    node("svg:text", { class: "end strong", x: LEFT - 8, y: PEER + 4 }, "peer"),
    node("svg:line", { class: "axis", x1: LEFT, x2: x(at), y1: SEEN, y2: SEEN }),
  );
  const seen = story.heartbeats.filter(([, , arrives]) => arrives !== null && arrives <= at);
  let labelled = -100;
  for (const [sequence, , arrives] of seen) {
    parts.push(node("svg:circle", { class: "phi mark", cx: x(arrives), cy: SEEN, r: 5 }));
    if (x(arrives) - labelled < 20) continue; // a queue that empties is too dense for numbers
    labelled = x(arrives);
    parts.push(node("svg:text", { class: "middle", x: labelled, y: SEEN - 14 }, `${sequence}`));
  }
  if (told) {
    parts.push(
      node("svg:line", { class: "axis", x1: LEFT, x2: RIGHT, y1: PEER, y2: PEER }),
      node("svg:text", { class: "fixed", x: x(story.heartbeats[0][1] + 9.5), y: PEER + 20 }, story.name),
    );
    for (const [, sent, arrives] of story.heartbeats) {
      parts.push(node("svg:circle", { class: "phi open", cx: x(sent), cy: PEER, r: 4 }));
      if (arrives !== null) parts.push(node("svg:line", { class: "flight", x1: x(sent), x2: x(arrives), y1: PEER - 5, y2: SEEN + 6 }));
      else parts.push(node("svg:path", { class: "cross", d: `M${x(sent) - 4},${PEER - 34}l8,8m0,-8l-8,8` }));
    }
  } else {
    parts.push(
      node("svg:rect", { class: "hidden-part", x: LEFT, width: RIGHT - LEFT, y: SEEN + 24, height: PEER - SEEN }),
      node("svg:text", { class: "middle strong", x: (LEFT + RIGHT) / 2, y: PEER - 20 }, "what happens here, you do not see"),
    );
  }
  parts.push(node("svg:line", { class: "axis", x1: x(at), x2: x(at), y1: 24, y2: PEER + 20, "stroke-dasharray": "2 3" }));
  return parts;
}

function state(story, at) {
  const seen = story.heartbeats.filter(([, , arrives]) => arrives !== null && arrives <= at);
  const last = Math.max(...seen.map(([, , arrives]) => arrives));
  const newest = seen.find(([, , arrives]) => arrives === last);
  return { arrived: seen.length, silence: seen.length ? at - last : at, sequence: newest ? newest[0] : 0 };
}

function sentence(at, now) {
  const last = now.sequence ? `, the newest of them number ${now.sequence}` : "";
  return `At ${number(at)} s: ${plural(now.arrived, "heartbeat")} have arrived${last}. Silent for ${seconds(now.silence)}.`;
}

function verdict(story, guess, fits) {
  const others = fits.filter((name) => name !== story.name);
  const alone = "Nothing else fits what you have seen.";
  const doubt = `But so far ${others.join(", ")} would have looked the same.`;
  if (guess === story.name) return `✓ ${guess}. ${story.truth} ${others.length ? doubt : alone}`;
  const why = fits.includes(guess)
    ? "What you have seen fits your guess just as well: there was no way to tell."
    : "What you have seen rules your guess out: look at the sequence numbers and at the gaps between arrivals.";
  return `✗ it was: ${story.name}. ${story.truth} ${why}`;
}

function render({ model, el }) {
  const [cases, names, times] = ["cases", "names", "times"].map((name) => model.get(name));
  const end = times.at(-1);
  const root = node("div", { class: "accrual", "data-widget": "which-failed" });
  const svg = node("svg:svg", { viewBox: "0 0 760 234", role: "img" });
  const words = node("p");
  const said = node("p", { class: "verdict", "aria-live": "polite" });
  const set = (values) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  };
  const rows = picks("Case", cases.map((_, k) => `${k + 1}`), (index) => set({ case: index, stop: 30, guess: "" }));
  const guesses = picks("It is a", names, (index) => set({ guess: names[index] }));
  const time = slider("stop", "Wait until", times.length, (index) => set({ stop: index }));

  const draw = () => {
    const story = cases[model.get("case")];
    const [at, guess, fits] = [times[model.get("stop")], model.get("guess"), story.fitting[model.get("stop")]];
    const now = state(story, at);
    const text = sentence(at, now);
    svg.replaceChildren(...picture(story, at, end, guess !== ""));
    svg.setAttribute("aria-label", guess ? `${text} ${story.truth}` : text);
    words.textContent = text;
    said.textContent = guess ? verdict(story, guess, fits) : "What happened? Wait as long as you dare, then say it.";
    time.show(model.get("stop"), `${number(at)} s`, text);
    rows.buttons.forEach((made, k) => made.setAttribute("aria-pressed", String(k === model.get("case"))));
    guesses.buttons.forEach((made, k) => made.setAttribute("aria-pressed", String(names[k] === guess)));
    mirror(root, {
      case: model.get("case") + 1,
      time: at,
      ...now,
      guess: guess || "none",
      // Not before the guess: a game is not won by looking into the page.
      fitting: guess ? fits.length : "hidden",
      right: guess ? guess === story.name : "hidden",
    });
  };
  root.append(rows.element, node("div", { class: "row" }, time.element), svg, words, guesses.element, said);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
