// A lab and its button. The kernel says what phase it is in; the page counts the seconds, and asks.

const TICK = 250; // ms between two looks at the clock
const SPEAK = 3000; // ms between two announcements
const PATIENCE = 2000; // ms for the kernel to answer, before the page says that it waits
const CLEARING = 30; // s for clearing away, beyond the lab's own limit

const HAPPENED = { running: "What happens here", stopping: "What happened here", failed: "What happened here until then", stopped: "What happened here until then", done: "What happened here" };

function render({ model, el }) {
  const { name, summary, command, seconds: usual, limit } = model.get("about");
  const view = Math.random().toString(36).slice(2);
  const root = node("div", { class: "accrual run-lab", "data-widget": "run-lab", "data-lab": name });

  let asked = 0; // when the kernel was asked for something that it has not answered
  let lost = false;
  let begun = 0; // when the lab began, on this page's clock
  let wasRunning = false;
  let spoken = { at: 0, what: "" };

  const phase = () => (lost ? "lost" : model.get("phase"));
  const running = () => !lost && ["running", "stopping"].includes(model.get("phase"));
  const may = {
    run: () => !lost && !asked && ["ready", "done", "failed", "stopped"].includes(phase()),
    stop: () => !lost && phase() === "running",
    look: () => !lost && !asked && phase() === "lacking",
  };
  const send = (content) => {
    try {
      return model.send({ view, ...content }) !== false; // which is what a page without a kernel says (page.js)
    } catch {
      lost = true; // the kernel was restarted
      return false;
    }
  };
  const ask = (deed) => () => {
    if (!may[deed]()) return;
    if (send({ do: deed })) asked = performance.now();
    draw();
  };
  const buttons = {
    run: button("Run it here", `Run the lab ${name} on this machine`, ask("run")),
    stop: button("Stop", `Stop the lab ${name}`, ask("stop")),
    look: button("Look again", "See whether this machine has by now what the lab needs", ask("look")),
  };
  for (const [deed, made] of Object.entries(buttons)) made.dataset.do = deed;

  const takes = node("span", { class: "takes" });
  const bar = node("progress", { "aria-label": `Progress of the lab ${name}` });
  const clock = node("span", { class: "clock" });
  const progress = node("div", { class: "row" }, bar, clock);
  const words = node("p", { class: "words" });
  const said = node("details", { class: "said" }, node("summary", {}, "What it said last"), node("pre", {}));
  const lacks = node("ul", { class: "lacks" });
  const heading = node("summary", {});
  const list = node("ol", { class: "happened", tabindex: 0, "aria-label": "What happened", ...KEYBOARD });
  const events = node("details", { class: "events" }, heading, list);
  const badge = node("b", { class: "badge" });
  const origin = node("span", {});
  const table = node("div", { tabindex: 0, role: "region", "aria-label": `Result of the lab ${name}`, ...KEYBOARD });
  const result = node("div", { class: "found" }, node("p", {}, badge, " ", origin), table);
  const status = node("div", { class: "unseen", role: "status" });

  const elapsed = () => (running() ? (performance.now() - begun) / 1000 : null);

  function tick() {
    const now = elapsed();
    if (now > limit + CLEARING) {
      lost = true;
      draw();
      return;
    }
    if (now != null) {
      clock.textContent = usual == null ? `${now.toFixed(0)} s` : `${now.toFixed(0)} s of about ${usual.toFixed(0)} s`;
      if (usual != null && now < usual) {
        bar.max = usual;
        bar.value = now;
      } else bar.removeAttribute("value"); // longer than it took elsewhere: how long, nobody knows
    }
    if (asked && performance.now() - asked > PATIENCE && !root.dataset.waiting) draw();
    mirror(root, { elapsed: now });
  }

  let drawnTable, drawnEvents;
  function draw() {
    const now = phase();
    const happened = model.get("events");
    const shown = model.get("shown");
    if (running() && !wasRunning) {
      begun = performance.now() - 1000 * (happened.at(-1)?.[0] ?? 0);
      events.open = true;
      send({}); // somebody looks
    }
    wasRunning = running();
    const waiting = asked && performance.now() - asked > PATIENCE;
    const text = lost
      ? "The kernel is not heard any more: was it restarted? The lab has ended with it. Run the cell again."
      : waiting
        ? "The kernel is busy with another cell; it will do it then."
        : model.get("words");
    words.textContent = text;
    words.hidden = !text;
    takes.textContent = usual == null ? `takes ${limit.toFixed(0)} s at most` : `takes about ${usual.toFixed(0)} s`;
    takes.hidden = running();
    buttons.run.textContent = ["done", "failed", "stopped"].includes(now) ? "Run it again" : "Run it here";
    for (const [deed, made] of Object.entries(buttons)) made.setAttribute("aria-disabled", String(!may[deed]()));
    buttons.look.hidden = now !== "lacking";
    progress.hidden = !running();
    said.hidden = !model.get("said");
    said.lastChild.textContent = model.get("said");
    lacks.hidden = !model.get("lacks").length;
    lacks.replaceChildren(...model.get("lacks").map(([what, remedy]) => node("li", {}, node("b", {}, what), `: ${remedy}`)));
    const whose = HAPPENED[now] ?? (shown.recorded ? "What happened when it was recorded" : "What happened");
    heading.textContent = `${whose}: ${plural(happened.length, "event")}`;
    events.hidden = !happened.length && !running();
    if (drawnEvents !== happened) {
      drawnEvents = happened;
      list.replaceChildren(
        ...happened.map(([at, who, what]) => node("li", {}, node("span", {}, `${at.toFixed(2)} s`), node("b", {}, who), node("span", {}, what))),
      );
      if (running()) list.scrollTop = list.scrollHeight;
    }
    result.hidden = !("table" in shown);
    badge.textContent = shown.recorded ? "recorded" : "run here";
    badge.classList.toggle("here", !shown.recorded);
    origin.textContent = shown.origin ?? "";
    if (drawnTable !== shown.table) {
      drawnTable = shown.table;
      table.innerHTML = shown.table ?? ""; // escaped where it is made
    }
    // Not each event: a voice would never end. But always that it began, and how it ended.
    const last = running() && happened.length ? `${happened.at(-1)[1]}: ${happened.at(-1)[2]}.` : "";
    if (spoken.what !== now + text || (last && performance.now() - spoken.at > SPEAK)) {
      spoken = { at: performance.now(), what: now + text };
      status.textContent = [`Lab ${name}: ${now}.`, text, last].filter(Boolean).join(" ");
    }
    mirror(root, {
      phase: now, busy: Boolean(asked) && !lost, waiting: waiting ? "true" : "", events: happened.length,
      lacks: model.get("lacks").length, rows: shown.rows, recorded: "table" in shown ? Boolean(shown.recorded) : null, words: text,
    });
    tick();
  }

  const answered = () => {
    asked = 0;
    draw();
  };
  const cut = () => {
    lost = true;
    draw();
  };
  const ticking = setInterval(() => (running() || asked) && tick(), TICK);
  model.on("change", draw);
  model.on("msg:custom", answered);
  model.on("comm_live_update", cut);

  root.append(
    node("p", { class: "title" }, node("b", {}, `Lab ${name}:`), ` ${summary}`),
    node("p", { class: "command" }, "On the command line: ", node("code", {}, command)),
    node("div", { class: "row", role: "group", "aria-label": `The lab ${name}` }, buttons.run, buttons.stop, buttons.look, takes),
    progress, words, lacks, said, events, result, status,
  );
  draw();
  el.append(root);
  return () => {
    clearInterval(ticking);
    model.off("change", draw);
    model.off("msg:custom", answered);
    model.off("comm_live_update", cut);
    if (running()) send({ gone: true });
  };
}

export default { render };
