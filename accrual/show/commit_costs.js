// What a commit costs and what it is worth, by how many backups it waits for. Every number is the simulated cluster's.

const move_of = (model) => (name, value) => {
  model.set(name, value);
  model.save_changes();
};

function situation(model) {
  const { round_trip: trips, backups: sizes } = model.get("stops");
  const [trip, backups] = [model.get("round_trip"), model.get("backups")];
  const rows = model.get("costs")[trips.indexOf(trip)][sizes.indexOf(backups)];
  const acks = Math.min(model.get("acks"), backups);
  return { trips, sizes, trip, backups, rows, acks, now: rows[acks], longest: Math.max(...rows.map((row) => row.latency)) };
}

const range = (lost) => {
  const [least, most] = [Math.min(...lost), Math.max(...lost)];
  return least === most ? count(least) : `${count(least)} to ${count(most)}`;
};

const sentence = (s) =>
  `A round trip of ${seconds(s.trip)} or more, ${plural(s.backups, "backup")}, waiting for ${s.acks}: ${s.now.mode}. A commit takes ` +
  `${seconds(s.now.latency)}. When the primary's machine dies, ${range(s.now.lost)} acknowledged writes are lost.`;

function table(s) {
  const heads = ["waits for", "", "a commit takes", "lost", "may die at once", "backups that may be away"];
  return [
    node("thead", {}, node("tr", {}, ...heads.map((head) => node("th", { scope: "col" }, head)))),
    node("tbody", {}, ...s.rows.map((row) =>
      node("tr", { "aria-current": row === s.now ? "true" : null },
        node("th", { scope: "row" }, `${row.acks} of ${s.backups}`),
        node("th", { scope: "row" }, row.mode),
        node("td", { class: "latency" },
          node("span", { class: "length", style: `width:${((60 * row.latency) / s.longest).toFixed(1)}%` }), seconds(row.latency)),
        node("td", { class: Math.max(...row.lost) ? "lost" : "" }, range(row.lost)),
        node("td", {}, row.may_die ? (row.may_die === 1 ? "the primary" : `the primary + ${row.may_die - 1}`) : "nobody"),
        node("td", {}, row.may_lack ? `${row.may_lack} of ${s.backups}` : "none")))),
  ];
}

function render({ model, el }) {
  const { round_trip: trips, backups: sizes } = model.get("stops");
  const { rate, runs } = model.get("about");
  const root = node("div", { class: "accrual", "data-widget": "commit-costs" });
  const move = move_of(model);
  const most = sizes[sizes.length - 1];
  const trip = slider("round_trip", "Round trip", trips.length, (index) => move("round_trip", trips[index]));
  const backups = slider("backups", "Backups", sizes.length, (index) => move("backups", sizes[index]));
  const acks = slider("acks", "Waits for", most + 1, (index) => move("acks", Math.min(index, model.get("backups"))));
  const results = node("table");
  const words = node("p");
  const code = node("pre");

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    trip.show(trips.indexOf(s.trip), seconds(s.trip), `round trip ${seconds(s.trip)}: a commit takes ${seconds(s.now.latency)}`);
    backups.show(sizes.indexOf(s.backups), count(s.backups), `${plural(s.backups, "backup")}: ${s.now.mode}`);
    acks.element.querySelector("input").max = s.backups;
    acks.show(s.acks, count(s.acks),
      `waits for ${s.acks} of ${s.backups}, ${s.now.mode}: a commit takes ${seconds(s.now.latency)}, ${range(s.now.lost)} lost`);
    results.replaceChildren(...table(s));
    words.textContent = now;
    code.textContent = `costs(round_trip=${s.trip}, backups=${s.backups})[${s.acks}]`;
    mirror(root, {
      roundTrip: s.trip, backups: s.backups, acks: s.acks, latency: s.now.latency, lost: s.now.lost.reduce((a, b) => a + b), mode: s.now.mode,
    });
  };
  root.append(
    trip.element, backups.element, acks.element, results, words,
    node("p", {}, `${count(rate)} writes a second; ${plural(runs, "run")} each, other chance.`),
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
