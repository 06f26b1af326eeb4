// How many workers two customers share: the law (bars) and pairs counted (rings); and whom a poison customer takes along.

const BOX = { left: 150, right: 600, top: 40, row: 34 };
const LEAST = 1e-8;

function situation(model) {
  const [workers, size] = [model.get("workers"), model.get("size")];
  const plan = model.get("plans")[workers][size];
  const k = model.get("sizes")[size];
  const needs = Math.min(model.get("needs"), k);
  const pairs = plan.counts.reduce((a, b) => a + b, 0);
  return {
    workers, size, n: model.get("numbers")[workers], k, needs, pairs, ...plan,
    plain: plan.plain[needs - 1], shuffled: plan.shuffled[needs - 1], counted: plan.counted[needs - 1],
  };
}

const chance = (p) => (p >= 1e-3 ? `${number(100 * p)} %` : `1 in ${number(1 / p)}`);

const sentence = (s) =>
  `1,000 customers on ${s.n} workers, ${s.k} each, of which ${s.needs} must be left. A customer whose requests end every worker that they reach takes along, of 999 others: ` +
  `999 in one pool, ${number(s.plain, 4)} with ${plural(s.n / s.k, "shard")}, ${number(s.shuffled, 4)} with ${count(s.combinations)} shuffle shards (counted: ${number(s.counted, 4)}). ` +
  `All ${s.k} the same: ${chance(s.law.at(-1))} by the law, ${count(s.counts.at(-1))} of ${count(s.pairs)} pairs counted.`;

function picture(s) {
  const x = scale(LEAST, 1, BOX.left, BOX.right, true);
  const bottom = BOX.top + BOX.row * 5;
  return [
    node("svg:text", { x: 8, y: 16 }, `chance that two customers share so many of their ${s.k}: bars by the law, rings counted in ${count(s.pairs)} pairs`),
    ...decades(LEAST, 1).filter((_, index) => index % 2 === 0).flatMap((p) => [
      node("svg:line", { class: "grid", x1: x(p), x2: x(p), y1: BOX.top - 8, y2: bottom }),
      node("svg:text", { class: "middle", x: x(p), y: bottom + 16 }, p === 1 ? "1" : `1e${Math.round(Math.log10(p))}`),
    ]),
    ...s.law.flatMap((p, shared) => {
      const top = BOX.top + BOX.row * shared;
      const found = s.counts[shared] / s.pairs;
      const fatal = shared > s.k - s.needs;
      return [
        node("svg:text", { class: fatal ? "end fixed" : "end strong", x: BOX.left - 12, y: top + 16 }, `${shared} shared${fatal ? ", cut off" : ""}`),
        node("svg:rect", { class: fatal ? "dead" : "law", x: BOX.left, y: top + 3, width: x(p) - BOX.left, height: BOX.row - 14 }),
        found ? node("svg:circle", { class: "other mark", cx: x(found), cy: top + 13, r: 5 }) : null,
        node("svg:text", { x: BOX.right + 14, y: top + 17 }, found ? chance(p) : `${chance(p)} (none)`),
      ].filter((part) => part != null);
    }),
  ];
}

function render(page) {
  const { model } = page;
  const [numbers, sizes] = [model.get("numbers"), model.get("sizes")];
  const move = mover(model);
  const workers = slider("workers", "Workers", numbers.length, (index) => move("workers", index));
  const size = slider("size", "For each customer", sizes.length, (index) => move("size", index));
  const needs = slider("needs", "Needed of these", Math.max(...sizes), (index) => move("needs", Math.min(index + 1, sizes[model.get("size")])));
  const results = node("table");
  const { root, show, mount } = framed(page, "shuffle-shards", `0 0 760 ${BOX.top + BOX.row * 5 + 26}`, [node("div", { class: "controls" }, workers.element, size.element, needs.element)], { between: [results] });
  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    show(now, picture(s), `iso.plan_shards(customers=1000, workers=${s.n}, shard_size=${s.k}, needs=${s.needs})`);
    results.replaceChildren(
      node("thead", {}, node("tr", {}, ...["", "one pool", "shards", "shuffle shards", "… counted"].map((head) => node("th", { scope: "col" }, head)))),
      node("tbody", {}, node("tr", {}, node("th", { scope: "row" }, "of 999 others, cut off"),
        ...[999, s.plain, s.shuffled, s.counted].map((value) => node("td", {}, number(value, 4))))),
    );
    workers.show(s.workers, count(s.n), now);
    size.show(s.size, count(s.k), now);
    needs.element.querySelector("input").max = s.k - 1;
    needs.show(s.needs - 1, count(s.needs), now);
    mirror(root, {
      n: s.n, size: s.k, needs: s.needs, combinations: s.combinations, plain: s.plain, shuffled: s.shuffled, counted: s.counted,
      same: s.law.at(-1), sameCounted: s.counts.at(-1), pairs: s.pairs,
    });
  };
  return mount(draw);
}

export default { render };
