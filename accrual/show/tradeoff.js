// What pictures of mistakes share: the plane of mistake rate and detection time, and the lanes of a timeline. It is put
// between controls.js and the files of the widgets that draw them.

const LANE = { left: 60, right: 752, height: 84 };

/** Where nothing went wrong, the rate is not 0 but below its 95 % bound. */
const bounded = (curve, k) => (curve.mistakes[k] ? curve.mistake_rate[k] : curve.mistake_rate_upper[k]);

/** Lines at round numbers, and their labels: detection time against something, both on logarithmic scales. */
function grid(box, [soonest, latest, x], [lowest, highest, y], title) {
  const many = latest / soonest < 5 ? rounds(soonest, latest) : decades(soonest, latest); // 2 s and 5 s do not help from 1.1 s to 2.2 s
  const times = many.filter((_, k) => k % Math.ceil(many.length / 6) === 0);
  return [
    node("svg:text", { x: 4, y: 12 }, title),
    node("svg:text", { class: "end", x: box.right, y: box.bottom + 34 }, "detection time: further left is better"),
    ...times.flatMap((t) => [
      node("svg:line", { class: "grid", x1: x(t), x2: x(t), y1: box.top, y2: box.bottom }),
      node("svg:text", { class: "middle", x: x(t), y: box.bottom + 16 }, seconds(t)),
    ]),
    ...decades(lowest, highest).flatMap((r) => [
      node("svg:line", { class: "grid", x1: box.left, x2: box.right, y1: y(r), y2: y(r) }),
      node("svg:text", { class: "end", x: box.left - 6, y: y(r) + 4 }, number(r)),
    ]),
  ];
}

/** A bound: what it points down from. */
function triangle(name, x, y) {
  return node("svg:path", { class: `${name} open`, d: `M${x - 5},${y - 4}h10l-5,9Z` },
    node("svg:title", {}, "no mistake seen: 95 % upper bound of the rate"));
}

/** One lane: values as an area on a logarithmic scale, what lies over the threshold in full colour. */
function lane(name, values, threshold, lowest, top, show, title) {
  const bottom = top + LANE.height;
  const highest = 10 ** Math.ceil(Math.log10(Math.max(...values, threshold * 1.5)));
  const y = scale(lowest, highest, bottom, top, true);
  const width = (LANE.right - LANE.left) / values.length;
  const limit = y(threshold).toFixed(1);
  const at = (column) => (LANE.left + column * width).toFixed(1);
  const outline = values.map((value, column) => `V${(value == null ? bottom : y(value)).toFixed(1)}H${at(column + 1)}`);
  let over = "";
  for (let column = 0; column < values.length; column++) {
    const first = column;
    while (column < values.length && values[column] >= threshold) column++;
    if (column === first) continue;
    over += `M${at(first)},${limit}${outline.slice(first, column).join("")}V${limit}Z`;
    // And a tick above the lane: a mistake that is one pixel wide must not be missed.
    over += `M${at(first)},${top - 6}H${at(Math.max(column, first + 1.2 / width))}v4H${at(first)}Z`;
  }
  const powers = decades(lowest, highest);
  const labelled = powers.filter((_, k) => k % Math.ceil(powers.length / 4) === 0);
  return [
    ...labelled.flatMap((value) => [
      node("svg:line", { class: "grid", x1: LANE.left, x2: LANE.right, y1: y(value), y2: y(value) }),
      node("svg:text", { class: "end", x: LANE.left - 6, y: y(value) + 4 }, show(value)),
    ]),
    node("svg:path", { class: `${name} area`, d: `M${LANE.left},${bottom}${outline.join("")}V${bottom}Z` }),
    node("svg:path", { class: `${name} over`, d: over }),
    node("svg:line", { class: `${name} level`, x1: LANE.left, x2: LANE.right, y1: limit, y2: limit }),
    node("svg:text", { class: name, x: LANE.left, y: top - 12 }, title),
  ];
}

/** Two lines of the plane by what they are worth at each detection time, with bounds where `sure` says they are such. */
function lines(x, y, times, values, sure) {
  return Object.keys(values).flatMap((name) => {
    const place = (k) => [x(times[name][k]), y(values[name][k])];
    const all = values[name].map((_, k) => k);
    const seen = all.filter((k) => sure[name][k]);
    const bound = all.find((k) => !sure[name][k]);
    return [
      ...(seen.length ? [node("svg:path", { class: `${name} curve`, d: line(seen.map(place)) })] : []),
      ...(bound === undefined ? [] : [triangle(name, ...place(bound))]),
    ];
  });
}
