// A timeline to step through: lanes of states, events on them, and a time that goes forwards and back.

const AT = { left: 84, right: 640, states: 652, top: 30, lane: 44 };
const FINE = 500; // stops of the slider from the beginning to the end
// How tall a state is drawn: told apart by more than colour. Others are as a backup.
const TALL = {
  primary: 22, candidate: 14, backup: 7, down: 0, fenced: 0,
  answered: 5, slow: 12, failed: 22, unknown: 22, lost: 22, whole: 5, cut: 22,
};

/** What the browser may ask of a story, as `Story` in scrubber.py: the state follows from the time alone. */
const where = (story, at) => clamp(at, story.begin, story.end);
const happened = (story, at) => story.events.filter(([time]) => time <= at);
const stateOf = (story, lane, at) =>
  story.spans[lane].findLast(([begin, end]) => begin <= at && (at < end || (at === end && end === story.end)))?.[2] ?? "";
const kindOf = (state) => state.split(/[ ,]+/).join(" ");

/** Where a lane says nothing. */
function gaps(story, lane) {
  const edges = [story.begin, ...story.spans[lane].flatMap(([begin, end]) => [begin, end]), story.end];
  return edges.flatMap((from, k) => (k % 2 === 0 && from < edges[k + 1] ? [[from, edges[k + 1]]] : []));
}

/** A time with as many digits as tell this story's events apart. */
function instant(story, at) {
  const gaps = story.stops.slice(1).map((stop, k) => stop - story.stops[k]);
  return `${at.toFixed(clamp(Math.ceil(-Math.log10(Math.min(...gaps))), 1, 4))} s`;
}

function picture(story, at) {
  const x = scale(story.begin, story.end, AT.left, AT.right);
  const y = (lane) => AT.top + AT.lane * lane + AT.lane / 2;
  const bottom = AT.top + AT.lane * story.actors.length;
  const [parts, named] = [[], new Set()];
  for (const t of rounds(story.begin, story.end))
    parts.push(
      node("svg:line", { class: "grid", x1: x(t), x2: x(t), y1: AT.top, y2: bottom }),
      node("svg:text", { class: "middle", x: x(t), y: bottom + 16 }, number(t, 6)),
    );
  parts.push(node("svg:text", { class: "end", x: AT.right, y: bottom + 32 }, "time [s]"));
  story.actors.forEach((actor, lane) => {
    parts.push(
      node("svg:text", { class: "strong", x: 4, y: y(lane) + 4 }, actor),
      ...gaps(story, lane).map(([from, to]) => node("svg:line", { class: "axis lane", x1: x(from), x2: x(to), y1: y(lane), y2: y(lane) })),
    );
    for (const [begin, end, state] of story.spans[lane]) {
      const [from, to] = [x(begin), x(end)];
      const tall = TALL[state.split(",")[0]] ?? TALL.backup;
      if (!tall) parts.push(node("svg:line", { class: `state ${kindOf(state)}`, x1: from, x2: to, y1: y(lane), y2: y(lane) }));
      else
        parts.push(
          node("svg:rect", { class: `state ${kindOf(state)}`, x: from, width: Math.max(to - from, 1), y: y(lane) - tall / 2, height: tall }),
        );
      if (to - from > 7 * state.length + 8) {
        named.add(state);
        parts.push(node("svg:text", { class: "state-name middle", x: (from + to) / 2, y: y(lane) - Math.max(tall, 8) / 2 - 3 }, state));
      }
    }
  });
  // States for whose names there is room in no lane are explained below.
  let next = AT.left;
  for (const state of new Set(story.spans.flat().map(([, , state]) => state))) {
    if (named.has(state)) continue;
    const [tall, low] = [TALL[state.split(",")[0]] ?? TALL.backup, bottom + 28];
    parts.push(
      tall
        ? node("svg:rect", { class: `state ${kindOf(state)}`, x: next, width: 14, y: low - tall / 2, height: tall })
        : node("svg:line", { class: `state ${kindOf(state)}`, x1: next, x2: next + 14, y1: low, y2: low }),
      node("svg:text", { x: next + 20, y: low + 4 }, state),
    );
    next += 40 + 7 * state.length;
  }
  const upto = happened(story, at).length;
  story.events.forEach(([time, lane], k) =>
    parts.push(node("svg:circle", { class: k < upto ? "event" : "event to-come", cx: x(time), cy: y(lane), r: 4 })),
  );
  parts.push(
    node("svg:rect", { class: "to-come veil", x: x(at), width: AT.right - x(at), y: AT.top, height: bottom - AT.top }),
    node("svg:line", { class: "now", x1: x(at), x2: x(at), y1: AT.top - 8, y2: bottom }),
    node("svg:text", { class: "middle strong", x: clamp(x(at), AT.left + 20, AT.right - 20), y: AT.top - 12 }, instant(story, at)),
    node("svg:text", { x: AT.states, y: AT.top - 12 }, "state now"),
    ...story.actors.map((actor, lane) => node("svg:text", { class: "strong", x: AT.states, y: y(lane) + 4 }, stateOf(story, lane, at))),
  );
  return { parts, height: bottom + 42 };
}

/** What is so at a time, in words. */
function sentence(story, at) {
  const states = story.actors.map((actor, lane) => [actor, stateOf(story, lane, at)]).filter(([, state]) => state);
  return states.map(([actor, state]) => `${actor} ${state}`).join("; ");
}

function render({ model, el }) {
  const root = node("div", { class: "accrual", "data-widget": "scrubber" });
  const svg = node("svg:svg", { role: "img", class: "scrubbing" });
  const now = node("p", { class: "newest-event" });
  const list = node("ol", { class: "events", "aria-label": "Events" });
  const stories = model.get("stories");
  const story = () => stories[model.get("shown")];
  const at = () => where(story(), model.get("at"));
  // What happened is said aloud after a step. After a slide it is not: the slider's own text says it, and once is enough.
  const go = (time, aloud = false) => {
    now.setAttribute("aria-live", aloud ? "polite" : "off");
    model.set("at", where(story(), time));
    model.save_changes();
  };
  const step = (by) => {
    const { stops } = story();
    go((by > 0 ? stops.find((stop) => stop > at()) : stops.findLast((stop) => stop < at())) ?? at(), true);
  };
  const first = button("|◀", "To the beginning", () => go(story().begin, true));
  const back = button("◀", "One event back", () => step(-1));
  const on = button("▶", "One event on", () => step(1));
  const last = button("▶|", "To the end", () => go(story().end, true));
  const time = slider("at", "Time", FINE + 1, (k) => go(story().begin + ((story().end - story().begin) * k) / FINE));
  const select = node("select", { "data-choice": "shown", ...KEYBOARD });
  select.append(...Object.keys(stories).map((name) => node("option", { value: name }, name)));
  select.addEventListener("change", () => {
    const name = select.value; // each change draws, and drawing sets the list to what is shown
    model.set("shown", name);
    model.set("at", stories[name].begin);
    model.save_changes();
  });

  const drag = (event) => {
    const box = svg.getBoundingClientRect();
    const px = ((event.clientX - box.left) * 760) / box.width;
    go(story().begin + ((px - AT.left) / (AT.right - AT.left)) * (story().end - story().begin));
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    drag(event);
  });
  svg.addEventListener("pointermove", (event) => svg.hasPointerCapture(event.pointerId) && drag(event));

  let listed;
  const draw = () => {
    const [told, t] = [story(), at()];
    const { parts, height } = picture(told, t);
    const before = happened(told, t);
    const words = sentence(told, t);
    svg.setAttribute("viewBox", `0 0 760 ${height}`);
    svg.replaceChildren(...parts);
    svg.setAttribute("aria-label", `At ${instant(told, t)}: ${words || "no states"}; ${before.length} of ${told.events.length} events`);
    const newest = before.filter(([time]) => time === before.at(-1)[0]);
    const said = newest.map(([, lane, what]) => `${told.actors[lane]}: ${what}`).join("; ");
    now.replaceChildren(node("b", {}, instant(told, t)), ` ${said ? `Last: ${said}.` : "Nothing has happened yet."}`);
    if (listed !== told) {
      listed = told;
      list.replaceChildren(
        ...told.events.map(([time, lane, what]) => {
          const jump = button("", `Go to ${instant(told, time)}`, () => go(time, true));
          jump.removeAttribute("aria-label"); // its text says more
          jump.append(node("span", {}, instant(told, time)), node("b", {}, told.actors[lane]), what);
          return node("li", {}, jump);
        }),
      );
    }
    [...list.children].forEach((item, k) => {
      item.classList.toggle("to-come", k >= before.length);
      item.firstChild.setAttribute("aria-current", String(before.length > 0 && told.events[k][0] === before.at(-1)[0]));
    });
    // Within the list alone: the page stays where it is.
    const current = list.children[Math.max(before.length - 1, 0)];
    if (current) list.scrollTop = current.offsetTop - list.clientHeight / 2;
    time.show(
      Math.round(((t - told.begin) / (told.end - told.begin)) * FINE),
      instant(told, t),
      `${instant(told, t)}: ${said || "nothing yet"}${words ? `. ${words}` : ""}`,
    );
    // Not disabled in earnest: a button that ends would take the keyboard's focus with it.
    for (const one of [first, back]) one.setAttribute("aria-disabled", String(t <= told.begin));
    for (const one of [on, last]) one.setAttribute("aria-disabled", String(t >= told.end));
    select.value = model.get("shown");
    mirror(root, {
      shown: model.get("shown"), at: t, happened: before.length, events: told.events.length, last: said,
      ...Object.fromEntries(told.actors.map((actor, lane) => [`state-${lane}`, stateOf(told, lane, t)])),
    });
  };
  const choice = Object.keys(stories).length > 1 ? node("label", { class: "row choice" }, `${model.get("choice")} `, select) : null;
  root.append(
    ...[choice, svg, node("div", { class: "row steps" }, first, back, on, last, time.element), now, list].filter(Boolean),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
