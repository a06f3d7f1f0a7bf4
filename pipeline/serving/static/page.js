// The page of a run: statuses come as events, are kept for the curves, and are shown while somebody looks.

import { Chart, curves } from "./chart.js";
import { Forecast } from "./forecast.js";
import { History } from "./history.js";
import { scoresOf, showEvents, showFacts, showRecords, showScores, showStages, showWorst } from "./parts.js";
import { at, count, make, rows, say } from "./text.js";

const SPAN = 3; // seconds between the two statuses that speeds and shares are the difference of
const QUIET = 10; // seconds without a batch, after which that is said
const SILENT = 5000; // milliseconds without an event, after which there is no connection
const AGAIN = 1000; // milliseconds between two attempts

const history = new History();
const forecast = new Forecast();
const scoreCurve = new Chart(at("score-chart"), () => curves([
  { name: shown.name, colour: "said" }, { name: "naive", colour: "naive", width: 1.5 },
], () => shown.marks, (text) => say(at("score-read"), text), shown.metric === "accuracy"));
const lossCurve = new Chart(at("loss-chart"), () => curves([
  { name: "loss", colour: "said" },
], () => shown.marks, (text) => say(at("loss-read"), text)));
const shown = { target: null, metric: undefined, name: "score", marks: [] };
let statuses = []; // of the last seconds
let moved = null; // when the last batch was applied: its number, and the uptime
let source = null, heard = Date.now(), lost = null, loaded = false;

function take(status) {
  const last = statuses.at(-1);
  if (last && status.uptime < last.uptime) { // another run
    statuses = [];
    moved = null;
    history.clear();
  }
  statuses.push(status);
  while (statuses.length > 2 && status.uptime - statuses[1].uptime >= SPAN) statuses.shift();
  if (moved?.step !== status.step) moved = { step: status.step, uptime: status.uptime };
  const targets = status.schema?.targets ?? [];
  const point = { seconds: status.uptime, step: status.step, loss: status.loss };
  for (const target of targets.length > 1 ? targets : [null]) {
    const { metric, scopes } = scoresOf(status, target), found = scopes.window ?? {};
    if (metric === null) continue;
    point[column(target, metric)] = found[metric];
    point[column(target, `naive_${metric}`)] = found[`naive_${metric}`];
  }
  history.add(point);
  if (!loaded) {
    loaded = true;
    preload();
  }
  show();
}

// The name of a column of the history: of several targets, each has its own.
const column = (target, metric) => (target === null ? metric : `${target} ${metric}`);

// What came before this page. The run counts the seconds of training, with those of runs before; here the last batch
// is now. Of several targets it has the mean skill, which is not drawn.
async function preload() {
  try {
    const answer = await fetch("history");
    if (!answer.ok) return;
    const { seconds, metric, naive, ...columns } = await answer.json();
    const status = statuses.at(-1), { metric: name } = scoresOf(status, null), late = status.uptime - seconds.at(-1);
    if (name !== null) Object.assign(columns, { [name]: metric, [`naive_${name}`]: naive });
    history.preload({ ...columns, seconds: seconds.map((second) => second + late) });
  } catch {
    // the curves begin now
  }
}

function show() {
  const status = statuses.at(-1), before = statuses.length > 1 ? statuses[0] : null;
  if (document.hidden || !status) return;
  const targets = status.schema?.targets ?? [], several = targets.length > 1;
  at("targets").hidden = !several;
  rows(at("target"), several ? targets : [], () => make("option"), (option, name) => say(option, name));
  const target = several ? at("target").value || targets[0] : null, scores = scoresOf(status, target);
  showScores(scores, status, target ?? targets[0] ?? status.schema?.label);
  showFacts(status, before);
  showStages(status, before);
  showRecords(status);
  showWorst(status.records?.worst, (key) => forecast.choose(key));
  showEvents(status);
  sayState(status);
  forecast.follow(status, target ?? targets[0] ?? null);
  showCurves(status, scores, target);
}

function showCurves(status, scores, target) {
  shown.marks = status.events.map(({ seconds }) => seconds);
  if (shown.metric !== scores.metric || shown.target !== target) {
    Object.assign(shown, { target, metric: scores.metric, name: scores.name });
    scoreCurve.drop();
  }
  say(at("curve-name"), scores.metric ? `${scores.name} of the last ${count(scores.scopes.window?.count)}` : "Score");
  const { seconds } = history.columns;
  const of = (name) => history.column(name);
  if (of("loss").every((loss) => loss === null)) lossCurve.note("Waiting for the first batch.");
  else lossCurve.set([seconds, of("loss")]);
  at("curve").hidden = !status.records && scores.metric === null;
  if (scores.metric === null) {
    scoreCurve.note("Waiting for the first truth.");
  } else {
    scoreCurve.set([seconds, of(column(target, scores.metric)), of(column(target, `naive_${scores.metric}`))]);
  }
}

function sayState(status) {
  const { degraded, records, state, uptime } = status;
  const quiet = uptime - moved.uptime > QUIET;
  if (degraded.length) say(at("state"), `degraded: ${degraded.join("; ")}`, "bad");
  else if (state === "ended") say(at("state"), "the run has ended", "waits");
  else if (state === "waiting" && status.step) say(at("state"), "waiting for the next batch", "waits");
  else if (state === "waiting" && !records) say(at("state"), "waiting for the first batch", "waits");
  else if (state === "waiting" && !records.records) say(at("state"), "waiting for the first record", "waits");
  else if (state === "waiting") say(at("state"), "waiting for enough records for a batch", "waits");
  else if (quiet) say(at("state"), `training, but no batch in the last ${QUIET} s`, "waits");
  else say(at("state"), state, "good");
}

function connect() {
  source?.close();
  source = new EventSource("events");
  source.addEventListener("status", (event) => {
    heard = Date.now();
    lost = null;
    take(JSON.parse(event.data));
  });
  source.addEventListener("error", () => {
    source.close();
    miss();
    setTimeout(connect, AGAIN);
  });
}

function miss() {
  lost ??= new Date(heard);
  say(at("state"), `no connection since ${lost.toTimeString().slice(0, 8)}; trying again`, "bad");
}

setInterval(() => {
  if (lost !== null || Date.now() - heard < SILENT) return;
  miss();
  connect();
}, 1000);
document.addEventListener("visibilitychange", show);
at("target").addEventListener("change", show);
connect();
