// Who watches whom: messages as arrows, and how many there are.

const MIDDLE = { x: 170, y: 150, radius: 122 };

function situation(model) {
  const stops = model.get("stops");
  const [name, nodes] = [model.get("arrangement"), model.get("nodes")];
  const { title, sizes } = model.get("kinds")[name];
  return { name, title, nodes, index: stops.nodes.indexOf(nodes), ...sizes[stops.nodes.indexOf(nodes)] };
}

const central = (s) => s.name === "push" || s.name === "pull";

/** Where node i is: round a circle, and the only watcher in its middle. */
function place(s, i) {
  if (central(s) && i === 0) return [MIDDLE.x, MIDDLE.y];
  const [k, n] = central(s) ? [i - 1, s.nodes - 1] : [i, s.nodes];
  const angle = (2 * Math.PI * k) / n - Math.PI / 2;
  return [MIDDLE.x + MIDDLE.radius * Math.cos(angle), MIDDLE.y + MIDDLE.radius * Math.sin(angle)];
}

/** An arrow from a to b; two that go to and fro lie side by side. */
function arrow([ax, ay], [bx, by], size, heads) {
  const length = Math.hypot(bx - ax, by - ay);
  const [ux, uy] = [(bx - ax) / length, (by - ay) / length];
  const at = (distance, aside) => [ax + ux * distance - uy * aside, ay + uy * distance + ux * aside];
  const end = length - size - 3;
  const points = (...list) => line(list);
  return points(at(size + 3, 2), at(end, 2)) + (heads ? points(at(end - 6, 6), at(end, 2), at(end - 6, -2)) : "");
}

function picture(s) {
  const size = s.nodes > 20 ? 5 : 9;
  const parts = [
    node("svg:path", { class: "edges", opacity: s.messages > 400 ? 0.25 : 1,
      d: s.edges.map(([a, b]) => arrow(place(s, a), place(s, b), size, s.messages <= 400)).join("") }),
  ];
  for (let i = 0; i < s.nodes; i++) {
    const [cx, cy] = place(s, i);
    const watches = central(s) ? i === 0 : true;
    parts.push(node("svg:circle", { class: `member${watches ? " watcher" : ""}`, cx, cy, r: size }));
  }
  const rows = [
    [count(s.messages), "messages in each period"],
    [count(s.rate), "messages a second at T = 200 ms"],
    [count(s.busiest), "of a period's messages touch the busiest node"],
    [count(s.watchers), `${s.watchers === 1 ? "node notices" : "nodes notice"} by ${s.watchers === 1 ? "itself" : "themselves"} that a member is silent`],
    [count(s.rounds), `${s.rounds === 1 ? "period" : "periods"} until a heartbeat is known to ${s.watchers === 1 ? "it" : "them"}`],
  ];
  rows.forEach(([value, label], k) =>
    parts.push(
      node("svg:text", { class: "end strong", x: 428, y: 92 + 30 * k }, value),
      node("svg:text", { x: 440, y: 92 + 30 * k }, label),
    ));
  parts.push(node("svg:text", { class: "fixed", x: 440, y: 60 }, s.title), node("svg:text", { x: 440, y: 252 }, "filled: who watches; open: who is only watched"));
  return parts;
}

const sentence = (s) =>
  `${plural(s.nodes, "node")}, ${s.title}: ${plural(s.messages, "message")} a period, ${count(s.rate)} a second; ` +
  `${count(s.busiest)} touch the busiest node; ${plural(s.watchers, "watcher")} of each member; known after ${plural(s.rounds, "period")}.`;

function render({ model, el }) {
  const root = node("div", { class: "accrual", "data-widget": "topologies" });
  const svg = node("svg:svg", { viewBox: "0 0 760 300", role: "img" });
  const words = node("p");
  const code = node("pre");
  const sizes = model.get("stops").nodes;
  const move = mover(model);
  const nodes = slider("nodes", "Nodes n", sizes.length, (index) => move("nodes", sizes[index]));
  const kind = radios("arrangement", "Who watches whom", Object.entries(model.get("kinds")).map(([name, { title }]) => [name, title]), (name) => move("arrangement", name));

  const draw = () => {
    const s = situation(model);
    svg.replaceChildren(...picture(s));
    svg.setAttribute("aria-label", sentence(s));
    words.textContent = sentence(s);
    code.textContent = `kind = accrual.show.fixed.topology("${s.name}", nodes=${s.nodes})\nkind.messages / 0.2, kind.busiest, kind.watchers, kind.rounds`;
    nodes.show(s.index, count(s.nodes), sentence(s));
    kind.show(s.name);
    mirror(root, { arrangement: s.name, nodes: s.nodes, messages: s.messages, rate: s.rate, busiest: s.busiest, watchers: s.watchers, rounds: s.rounds });
  };
  root.append(
    kind.element,
    nodes.element, svg, words,
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
