// What a commit costs and what it is worth, by how many backups it waits for. Every number is the simulated cluster's.

function situation(model) {
  const { round_trip: trips, backups: sizes } = model.get("stops");
  const [trip, backups] = [model.get("round_trip"), model.get("backups")];
  const rows = model.get("costs")[trips.indexOf(trip)][sizes.indexOf(backups)];
  return { trips, sizes, trip, backups, rows, longest: Math.max(...rows.map((row) => row.latency)) };
}

const range = (lost) => {
  const [least, most] = [Math.min(...lost), Math.max(...lost)];
  return least === most ? count(least) : `${count(least)} to ${count(most)}`;
};

function sentence(s) {
  const [none, one] = s.rows;
  const all = s.rows.at(-1);
  const some =
    s.backups === 1
      ? `${seconds(one.latency)} if it waits for the backup`
      : `${seconds(one.latency)} if it waits for the first of ${s.backups} backups, ${seconds(all.latency)} if it waits for all`;
  return `Round trip ${seconds(s.trip)}: a commit takes ${seconds(none.latency)} if it waits for nobody, ${some}.`;
}

function table(s) {
  const heads = [
    ["waits for"], ["called", "mode"], ["a commit takes", "latency"], ["writes lost"], ["may die at once"], ["may be away"],
  ];
  return [
    node("thead", {}, node("tr", {}, ...heads.map(([head, kind]) => node("th", { scope: "col", class: kind }, head)))),
    node("tbody", {}, ...s.rows.map((row) =>
      node("tr", {},
        node("th", { scope: "row" }, `${row.acks} of ${s.backups}`),
        node("td", { class: "mode" }, row.mode),
        node("td", { class: "latency" },
          node("span", { class: "length", style: `width:${((60 * row.latency) / s.longest).toFixed(1)}%` }), seconds(row.latency)),
        node("td", { class: Math.max(...row.lost) ? "lost" : null }, range(row.lost)),
        node("td", {}, row.may_die ? (row.may_die === 1 ? "the primary" : `the primary + ${row.may_die - 1}`) : "nobody"),
        node("td", {}, row.may_lack ? plural(row.may_lack, "backup") : "nobody")))),
  ];
}

function render({ model, el }) {
  const { round_trip: trips, backups: sizes } = model.get("stops");
  const { rate, runs } = model.get("about");
  const root = node("div", { class: "accrual", "data-widget": "commit-costs" });
  const move = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const trip = slider("round_trip", "Round trip", trips.length, (index) => move("round_trip", trips[index]));
  const backups = slider("backups", "Backups", sizes.length, (index) => move("backups", sizes[index]));
  const results = node("table");
  const words = node("p");
  const code = node("pre");

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    trip.show(trips.indexOf(s.trip), seconds(s.trip), now);
    backups.show(sizes.indexOf(s.backups), count(s.backups), `${plural(s.backups, "backup")}. ${now}`);
    results.replaceChildren(...table(s));
    words.textContent = now;
    code.textContent = `costs(round_trip=${s.trip}, backups=${s.backups})`;
    mirror(root, {
      roundTrip: s.trip, backups: s.backups, rows: s.rows.length,
      ...Object.fromEntries(s.rows.flatMap((row, k) => [[`latency${k}`, row.latency], [`lost${k}`, row.lost.reduce((a, b) => a + b)]])),
    });
  };
  root.append(
    trip.element, backups.element, results, words,
    node("p", {}, `Lost: when the primary's machine dies, at ${count(rate)} writes a second; ${runs} runs, each with its own random delays.`),
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
