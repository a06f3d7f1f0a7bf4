// The parts of the page that are words and numbers: scores, speed, stages, records, events.

import {
  age, at, clock, count, define, isNumber, make, number, percent, row, rows, say, skill, span, tick,
} from "./text.js";

const SCORES = [["mae", "MAE"], ["accuracy", "accuracy"], ["bits_per_symbol", "bits a symbol"]];
const SCOPES = [["all", "all"], ["window", "the last"], ["faded", "the past fading"]];
const FATES = [
  "records", "applied", "waiting", "unlabelled", "dropped", "rejected", "late", "keys", "evicted", "expired",
];
const WRONG = new Set(["dropped", "rejected", "late"]);
const BEHIND = { loaded: "load", forwarded: "forward", recurred: "backward", backwarded: "backward", free: "update" };
const DOTS = 8;

// The scores of a status, of one target where they are several: the metric's name, and numbers by scope.
export function scoresOf(status, target) {
  const metrics = status.records?.metrics ?? status.metrics ?? {}, bounds = status.records?.bounds ?? {};
  const scopes = metrics.targets?.[target] ?? metrics, held = bounds.targets?.[target] ?? bounds;
  const [metric, name] = SCORES.find(([metric]) => typeof scopes.all?.[metric] === "number") ?? [null, "score"];
  return { metric, name, scopes, held, interval: bounds.interval };
}

const ofScore = (metric, value) => (metric === "accuracy" ? percent(value, 1) : number(value));

// Of `what`, a target or a label.
export function showScores(scores, status, what) {
  const { metric, name, scopes, held, interval } = scores, some = metric !== null;
  const recent = scopes.window?.count ? scopes.window : scopes.all ?? {};
  const naive = (found) => found[`naive_${metric}`];
  const text = !status.records && !some; // whose loss is the score
  at("score-table").hidden = text;
  if (text) say(at("score-name"), "loss of the last batch, nats a token");
  else say(at("score-name"), some ? `${name} of the last ${count(recent.count)}` : name);
  say(at("score"), text ? number(status.loss) : some ? ofScore(metric, recent[metric]) : "–");
  const beside = at("score-beside");
  const words = `the naive one ${ofScore(metric, naive(recent))}, skill ${skill(recent.skill)}`;
  const bits = text && status.loss !== null ? `${number(status.loss / Math.LN2)} bits a token` : "";
  say(beside, some ? words : bits, looks(recent.skill, "beside "));
  say(at("head-score"), name);
  say(at("score-of"), what ? ` of ${what}` : "");
  say(at("forecast-of"), what ? ` of ${what}` : "");
  at("head-within").hidden = !interval;
  say(at("head-within"), interval ? `in bounds for ${percent(interval, interval * 100 % 1 ? 1 : 0)}` : "");
  rows(at("score-rows"), some ? SCOPES.filter(([scope]) => scopes[scope]) : [], () => row("", "", "", "", "", ""),
    ({ cells }, [scope, title]) => {
      const found = scopes[scope];
      say(cells[0], scope === "window" ? `${title} ${count(found.count)}` : title);
      say(cells[1], count(found.count));
      say(cells[2], ofScore(metric, found[metric]));
      say(cells[3], ofScore(metric, naive(found)));
      say(cells[4], skill(found.skill), looks(found.skill));
      cells[5].hidden = !interval;
      say(cells[5], interval ? percent(held[scope]?.coverage, 1) : "");
    });
  say(at("score-empty"), some || text ? "" : "Waiting for the first truth to score a forecast by.");
}

const looks = (value, before = "") => before + (value > 0 ? "good-skill" : value < 0 ? "bad-skill" : "");

export function showFacts(status, before) {
  const { checkpoint, latency, model } = status, seconds = before && status.uptime - before.uptime;
  const total = (one) => one.records?.records ?? one.tokens ?? 0;
  say(at("rate-name"), status.records ? "records a second" : "tokens a second");
  say(at("rate"), seconds > 0 ? count(Math.max(0, total(status) - total(before)) / seconds) : "–");
  const kept = checkpoint && (checkpoint.problem
    ?? (checkpoint.age === null ? "none yet" : `batch ${count(checkpoint.step)}, ${age(checkpoint.age)} ago`));
  define(at("facts"), [
    ["batches", count(status.step)], ["loss of the last", number(status.loss)],
    ["gradient norm", number(status.grad_norm, 3)], ["learning rate", number(status.learning_rate, 3)],
    ["weights, version", count(status.version)],
    ["staleness", several(status.staleness, "update")],
    ["latency, median", span(latency?.p50)], ["latency, 99 in 100", span(latency?.p99)],
    ["checkpoint", checkpoint ? kept : "none are made", checkpoint?.problem ? "warn" : ""],
    ["skipped batches", count(status.skipped), status.skipped ? "warn" : ""],
    ["undone updates", count(status.undone), status.undone ? "warn" : ""],
    ["passes run in", status.executor ?? "–"],
  ]);
  const units = [].concat(model.hidden_size).join(", ");
  const layers = model.cell ? `${model.num_layers ?? 1} × ${model.cell} ${units}` : "";
  say(at("about"), `${[layers, `${count(model.parameters)} parameters`].filter(Boolean).join(", ")}; up `
    + age(status.uptime));
}

const several = (value, what) => (value === null ? "–" : `${count(value)} ${what}${value === 1 ? "" : "s"}`);

// The shares of the time between two statuses; since the start where something began anew.
export function sharesOf(stage, before) {
  const old = before?.stages.find(({ name }) => name === stage.name);
  const since = old && old.seconds < stage.seconds && old.items <= stage.items ? old : null;
  const of = (name) => stage[name] - (since ? since[name] : 0), seconds = of("seconds");
  const share = (name) => Math.min(1, Math.max(0, of(name) / (seconds || 1)));
  return {
    busy: share("busy"), input: share("waiting_for_input"), room: share("waiting_for_room"),
    rate: of("items") / (seconds || 1), moved: of("items") > 0,
  };
}

let phase = 0;

export function showStages(status, before) {
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) phase = (phase + 1) % 3;
  rows(at("stages"), status.stages, newStage, (line, stage) => {
    const [name, flow, bar, text, rate, channels] = line.children, found = sharesOf(stage, before);
    say(name, stage.name);
    [...flow.children].forEach((dot, index) => say(dot, "●", found.moved && index === phase ? "on" : ""));
    [...bar.children].forEach((piece) => {
      piece.style.width = `${(100 * found[piece.className]).toFixed(1)}%`;
    });
    const share = (value) => percent(value, value >= 0.0005 && value < 0.0095 ? 1 : 0);
    say(text, `busy ${share(found.busy)} · input ${share(found.input)} · room ${share(found.room)}`);
    const items = stage.name === "forecast" ? "pieces" : "batches"; // of what comes
    say(rate, `${found.rate && found.rate < 10 ? number(found.rate, 2) : count(found.rate)} ${items}/s`);
    rows(channels, status.channels.filter((channel) => isBehind(channel.name, stage.name, status.stages)),
      () => make("span"), (node, channel) => say(node, inWords(channel)));
  });
  say(at("stages-empty"), status.stages.length ? "" : "The stages start with the first batch.");
}

function newStage() {
  const line = make("li"), [flow, bar] = [make("div", "flow"), make("div", "bar")];
  flow.setAttribute("aria-hidden", "true");
  flow.append(make("span"), make("span"), make("span"));
  bar.append(make("div", "busy"), make("div", "input"), make("div", "room"));
  line.append(make("div", "name"), flow, bar, make("div", "shares"), make("div", "rate"), make("div", "channels"));
  return line;
}

// Whether what a stage has done goes into the channel: "loaded 1" is behind "load", "forwarded 1" behind "forward 1".
function isBehind(channel, stage, stages) {
  const [, link, shard] = /^(\w+) (\d+)/.exec(channel) ?? [];
  let from = BEHIND[link] ?? "update";
  if (link === "backwarded" && stages.some(({ name }) => name.startsWith("weight gradient"))) from = "weight gradient";
  return stage === from || stage === `${from} ${shard}`;
}

function inWords({ name, depth, capacity }) {
  const dots = capacity <= DOTS ? `${"●".repeat(depth)}${"○".repeat(Math.max(0, capacity - depth))} ` : "";
  return `${name.replace(/^free/, "free workspaces")} ${dots}${count(depth)}/${count(capacity)}`;
}

export function showRecords({ records, schema }) {
  at("fates").hidden = !records;
  at("keyed").hidden = !schema?.key;
  if (!records) return;
  const labels = Object.entries(records.labels ?? {}).map(([name, value]) => [`labels ${name}`, value]);
  const fates = [...FATES.filter((name) => name in records).map((name) => [name, records[name]]), ...labels];
  define(at("counts"), fates.map(([name, value]) => [name === "records" ? "received" : name,
    typeof value === "number" ? count(value) : String(value), WRONG.has(name) && value ? "warn" : ""]));
  rows(at("sources"), records.sources, () => row("name", "", "", "", "more"), ({ cells }, one) => {
    const { source, received, rejected, dropped, ...others } = one;
    say(cells[0], source);
    cells[0].title = source;
    [received, rejected, dropped].forEach((value, index) => say(cells[index + 1], count(value)));
    const counted = ([name, value]) => `${isNumber(value) ? tick(value, 1) : value} ${name.replaceAll("_", " ")}`;
    say(cells[4], Object.entries(others).filter(([, value]) => value).map(counted).join(", "));
  });
}

export function showWorst(worst, choose) {
  const metric = worst?.[0] && "accuracy" in worst[0] ? "accuracy" : "mae";
  say(at("worst-score"), metric === "mae" ? "MAE" : metric);
  rows(at("worst"), worst ?? [], () => {
    const line = row("name", "", "", ""), button = make("button");
    button.type = "button";
    button.addEventListener("click", () => choose(button.textContent));
    line.cells[0].append(button);
    return line;
  }, ({ cells }, one) => {
    say(cells[0].firstChild, one.key);
    say(cells[1], count(one.labels));
    say(cells[2], ofScore(metric, one[metric]));
    say(cells[3], ofScore(metric, one[`naive_${metric}`]));
  });
  say(at("worst-empty"), worst?.length ? "" : "None has been scored often enough yet.");
}

// Drift and the contest are counts of the status; what has happened are lines, each with its time.
export function showEvents({ events, records }) {
  const found = [...events].reverse();
  rows(at("events"), found, () => {
    const line = make("li");
    line.append(make("time"), make("span"));
    return line;
  }, (line, event) => {
    say(line.firstChild, clock(event.seconds));
    say(line.lastChild, event.text);
  });
  const drift = records?.drift, leader = records?.leader;
  const last = drift?.count ? `, the last at record ${count(drift.last)}` : "";
  const drifts = drift ? [`drifts: ${count(drift.count)}${last}`] : [];
  const rivals = leader ? [`${leader} leads: ` + records.contest.map((one) =>
    `${one.name} ${one.failed ?? `MAE ${number(one.metrics.mae)}`}`).join(", ")] : [];
  say(at("events-empty"), [...drifts, ...rivals, ...(found.length ? [] : ["Nothing has happened yet."])].join(". "));
}
