// A network that is cut for a while, and what the clients on both sides see of it, policy by policy.

const BOX = { left: 60, right: 740, top: 150, bottom: 268 };

/** How the network is at a time. */
const phase = (cut, at) => (at < cut.at ? "whole" : at < cut.until ? "cut" : "healed");

const FARES = { answered: ["✓ is answered", ""], stale: ["● reads what is stale", "phi"], refused: ["■ is refused", "fixed"] };

/** The nodes and the client of each side, and the links between. */
function network(cut, states, served, at) {
  const now = phase(cut, at);
  const side = (members, x, to) => {
    const nodes = members.filter((name) => !name.startsWith("c"));
    const client = members.find((name) => name.startsWith("c"));
    const parts = [];
    nodes.forEach((name, k) => {
      const y = 70 + (k - (nodes.length - 1) / 2) * 62;
      const role = states[Number(name)].split(",")[0];
      if (client) parts.push(node("svg:line", { class: "link near", x1: x < to ? to - 52 : to + 52, x2: x < to ? x + 84 : x - 20, y1: 70, y2: y }));
      parts.push(
        node("svg:circle", { class: `node-of ${role}`, cx: x, cy: y, r: 17 }),
        node("svg:text", { class: `middle inside ${role}`, x, y: y + 4 }, name),
        node("svg:text", { class: "strong", x: x + 22, y: y + 4 }, states[Number(name)]),
      );
    });
    if (client) {
      const [words, kind] = FARES[served[Number(client.slice(1))]];
      parts.push(
        node("svg:text", { class: "middle strong", x: to, y: 66 }, `client ${client.slice(1)}`),
        node("svg:text", { class: `middle ${kind}`, x: to, y: 84 }, words),
      );
    }
    return parts;
  };
  return [
    node("svg:line", { class: now === "cut" ? "link cut" : "link", x1: 316, x2: 422, y1: 70, y2: 70 }),
    node("svg:text", { class: now === "cut" ? "middle fixed" : "middle", x: 369, y: 58 }, now === "cut" ? "✗ cut" : now),
    ...side(cut.groups[0], 222, 78),
    ...side(cut.groups[1], 446, 672),
  ];
}

function counters(run, times, cut, k, highest) {
  const x = scale(times[0], times.at(-1), BOX.left, BOX.right);
  const y = scale(0, highest, BOX.bottom, BOX.top);
  const curve = (name, kind) => node("svg:path", { class: `${kind} curve`, d: line(run[name].map((value, i) => [x(times[i]), y(value)])) });
  const now = x(times[k]);
  return [
    node("svg:rect", { class: "during", x: x(cut.at), width: x(cut.until) - x(cut.at), y: BOX.top, height: BOX.bottom - BOX.top }),
    ...rounds(0, highest).flatMap((value) => [
      node("svg:line", { class: "grid", x1: BOX.left, x2: BOX.right, y1: y(value), y2: y(value) }),
      node("svg:text", { class: "end", x: BOX.left - 6, y: y(value) + 4 }, count(value)),
    ]),
    ...rounds(0, times.at(-1)).map((t) => node("svg:text", { class: "middle", x: x(t), y: BOX.bottom + 16 }, number(t))),
    node("svg:text", { class: "end", x: BOX.right, y: BOX.bottom + 32 }, "seconds; the network is cut in the grey part"),
    curve("refused", "fixed"),
    curve("stale", "phi"),
    node("svg:line", { class: "axis", x1: now, x2: now, y1: BOX.top, y2: BOX.bottom }),
    node("svg:rect", { class: "fixed mark", x: now - 5, y: y(run.refused[k]) - 5, width: 10, height: 10 }),
    node("svg:circle", { class: "phi mark", cx: now, cy: y(run.stale[k]), r: 5 }),
  ];
}

function render({ model, el }) {
  const [runs, times, cut] = ["runs", "times", "cut"].map((name) => model.get(name));
  const names = Object.keys(runs);
  const highest = Math.max(10, ...names.flatMap((name) => [runs[name].refused.at(-1), runs[name].stale.at(-1)]));
  const root = node("div", { class: "accrual", "data-widget": "cut-network" });
  const svg = node("svg:svg", { viewBox: "0 0 760 304", role: "img" });
  const words = node("p");
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const counter = (name, label) => {
    const value = node("b");
    return { value, element: node("span", { class: name }, value, node("br"), label) };
  };
  const shown = { refused: counter("refused", "■ refused or unanswered"), stale: counter("stale", "● stale reads"), lost: counter("lost", "told OK, lost in the end") };
  const buttons = names.map((name) => button(name, `Policy: ${name}`, () => set("policy", name)));
  const choice = node("fieldset", { class: "choices" }, node("legend", {}, "Policy"), ...buttons);
  // CAP as a button: to the last moment of each phase, where its counters stand.
  const last = (test) => times.findLast((at) => phase(cut, at) === test) ?? times[0];
  const phases = Object.entries({ whole: "whole", cut: `cut, for ${number(cut.until - cut.at)} s`, healed: "healed" }).filter(
    ([name]) => times.some((at) => phase(cut, at) === name),
  );
  const switches = phases.map(([name, label]) => button(label, `Network: ${name}`, () => set("time", last(name))));
  const state = node("fieldset", { class: "choices" }, node("legend", {}, "Network"), ...switches);
  const time = slider("time", "Time", times.length, (index) => set("time", times[index]));
  const stepped = (by) => () => set("time", times[clamp(times.indexOf(model.get("time")) + by, 0, times.length - 1)]);

  const draw = () => {
    const [policy, at] = [model.get("policy"), model.get("time")];
    const [run, k] = [runs[policy], times.indexOf(at)];
    const clients = run.served[k].map((how, client) => `Client ${client} ${FARES[how][0].slice(2)}.`).join(" ");
    const text =
      `${policy} at ${number(at)} s: of ${plural(run.sent[k], "request")}, ${count(run.refused[k])} refused or unanswered, ` +
      `${plural(run.stale[k], "stale read")}, ${plural(run.lost[k], "acknowledged write")} that will be lost. ${clients}`;
    svg.replaceChildren(...network(cut, run.states[k], run.served[k], at), ...counters(run, times, cut, k, highest));
    svg.setAttribute("aria-label", text);
    words.textContent = text;
    for (const [name, made] of Object.entries(shown)) made.value.textContent = count(run[name][k]);
    buttons.forEach((made, i) => made.setAttribute("aria-pressed", String(names[i] === policy)));
    switches.forEach((made, i) => made.setAttribute("aria-pressed", String(phases[i][0] === phase(cut, at))));
    time.show(k, `${number(at)} s`, text);
    mirror(root, { policy, time: at, sent: run.sent[k], refused: run.refused[k], stale: run.stale[k], lost: run.lost[k], states: run.states[k].join(" | "), served: run.served[k].join(" | "), network: phase(cut, at) });
  };
  root.append(
    choice,
    state,
    node("div", { class: "row" }, button("◀", "A step back", stepped(-1)), button("▶", "A step on", stepped(1)), time.element),
    node("div", { class: "row counters" }, ...Object.values(shown).map((made) => made.element)),
    svg,
    words,
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
