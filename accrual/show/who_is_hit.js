// 1,000 users, one by one, twice: requests in turn, and sticky. State is a function of the time and the run.

const GRID = { columns: 40, step: 9, top: 44, lefts: { "round-robin": 12, sticky: 396 } };
const NAMES = { "round-robin": "in turn (round robin)", sticky: "sticky: each user has a server" };

function situation(model) {
  const [time, ejected] = [model.get("time"), model.get("ejected")];
  const run = model.get("runs")[ejected];
  const after = model.get("timeouts")[ejected].seconds;
  const look = (route) => {
    const { first, users, failed, asked, detection } = run[route];
    return { first, users: users[time], failed: failed[time], share: asked[time] ? failed[time] / asked[time] : 0, detection };
  };
  return { time, ejected, at: model.get("times")[time], after, turns: look("round-robin"), sticky: look("sticky") };
}

const errors = (run) => (run.users ? number(run.failed / run.users, 2) : "no");

function sentence(s) {
  const one = (run) => `${number(100 * run.share)} % of the requests so far failed, ${plural(run.users, "user")} of 1,000 hit, with ${errors(run)} errors each`;
  const out = s.after == null ? "it is never ejected" : `it is ejected after ${seconds(s.turns.detection)}`;
  return `One of eight servers died ${seconds(s.at)} ago; ${out}. In turn: ${one(s.turns)}. Sticky: ${one(s.sticky)}.`;
}

function crowd(route, run, at) {
  const left = GRID.lefts[route];
  const bottom = GRID.top + 25 * GRID.step;
  return [
    node("svg:text", { class: "strong", x: left - 4, y: 16 }, NAMES[route]),
    node("svg:text", { x: left - 4, y: 32 }, `${count(run.users)} of 1,000 users hit, ${number(100 * run.share)} % of requests`),
    ...run.first.map((when, user) => {
      const hit = when != null && when <= at;
      return node("svg:circle", {
        class: hit ? "user hit" : "user", r: hit ? 3.4 : 2.6,
        cx: left + (user % GRID.columns) * GRID.step, cy: GRID.top + Math.floor(user / GRID.columns) * GRID.step,
      });
    }),
    node("svg:text", { x: left - 4, y: bottom + 12 }, `${errors(run)} errors for each user hit`),
  ];
}

function render({ model, el }) {
  const [times, timeouts] = [model.get("times"), model.get("timeouts")];
  const root = node("div", { class: "accrual", "data-widget": "who-is-hit" });
  const move = mover(model);
  const time = slider("time", "Since the death", times.length, (index) => move("time", index));
  const ejected = slider("ejected", "Timeout k × T", timeouts.length, (index) => move("ejected", index));
  const step = (by) => move("time", clamp(model.get("time") + by, 0, times.length - 1));
  const back = button("◀", "half a second back", () => step(-1));
  const on = button("▶", "half a second on", () => step(1));
  const svg = node("svg:svg", { viewBox: `0 0 760 ${GRID.top + 25 * GRID.step + 20}`, role: "img" });
  const words = node("p");
  const code = node("pre");
  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    svg.replaceChildren(...crowd("round-robin", s.turns, s.at), ...crowd("sticky", s.sticky, s.at));
    svg.setAttribute("aria-label", now);
    words.textContent = now;
    code.textContent =
      `iso.balance(ac.FixedTimeout(period=0.1), ${s.after == null ? "1e9" : number(s.after / 0.1)}, route="sticky", fails=10, duration=70, pauses=0, delay=0)`;
    time.show(s.time, seconds(s.at), now);
    ejected.show(s.ejected, s.after == null ? "never" : seconds(s.after), now);
    back.disabled = s.time === 0;
    on.disabled = s.time === times.length - 1;
    mirror(root, {
      at: s.at, after: s.after, turnsUsers: s.turns.users, stickyUsers: s.sticky.users,
      turnsShare: s.turns.share, stickyShare: s.sticky.share, turnsFailed: s.turns.failed, stickyFailed: s.sticky.failed,
    });
  };
  root.append(
    node("div", { class: "row" }, back, on, time.element), ejected.element, svg, words,
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
