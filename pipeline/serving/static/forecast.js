// The forecasts of one key beside the truth: each stands at the record that it is about.

import { Chart, axis, colour, values, within } from "./chart.js";
import { at, count, make, number, say } from "./text.js";

const EVERY = 900; // milliseconds between two questions
const ROOM = 7; // pixels a record
const LEAST = 40; // records that there is room for

export class Forecast {
  constructor() {
    this.chart = new Chart(at("forecast-chart"), () => (this.classes ? this.ofClasses() : this.ofNumbers()));
    this.chart.note("Waiting for the first forecasts.");
    this.key = null;
    this.asked = 0;
    this.classes = null;
    this.alarms = [];
    at("pick").addEventListener("submit", (event) => {
      event.preventDefault();
      this.choose(at("key").value);
    });
    at("key").addEventListener("input", () => {
      if (this.names?.has(at("key").value)) this.choose(at("key").value);
    });
    at("key").addEventListener("change", () => this.choose(at("key").value));
  }

  // Shows another key.
  choose(key) {
    if (key === this.key || key === "") return;
    this.key = key;
    if (at("key").value !== key) at("key").value = key;
    this.classes = null;
    this.chart.note("Waiting for its forecasts.");
    say(at("forecast-read"), "");
    this.asked = 0;
    this.ask();
  }

  // There is a new status; of several targets, the one of this name is shown.
  follow(status, target) {
    const { schema } = status;
    at("forecast").hidden = !schema; // of a text there are none
    at("pick").hidden = !schema?.key;
    if (!schema) return;
    say(at("key-name"), schema.key ?? "key");
    this.schema = schema;
    if (target !== this.target) {
      this.target = target;
      this.chart.drop();
      this.asked = 0;
    }
    this.offer(status.keys);
    if (schema.key && this.key === null) {
      if (!status.keys.length) return;
      this.choose([...status.keys].sort(inOrder)[0]);
    }
    this.ask();
  }

  offer(keys) {
    if (this.names && keys.length === this.names.size && keys.every((key) => this.names.has(key))) return;
    this.names = new Set(keys);
    at("keys").replaceChildren(...[...keys].sort(inOrder).map((key) => {
      const option = make("option");
      option.value = key;
      return option;
    }));
  }

  async ask() {
    if (!this.schema || document.hidden || this.busy || performance.now() - this.asked < EVERY) return;
    this.asked = performance.now();
    this.busy = true;
    const { key } = this;
    try {
      const answer = await fetch(this.schema.key ? `predictions?key=${encodeURIComponent(key)}` : "predictions");
      const found = await answer.json();
      if (key !== this.key) return;
      if (answer.ok) this.show(found.predictions);
      else if (answer.status !== 404) this.chart.note(String(found.error));
      else this.chart.note(`No forecast of “${key}” is remembered; the next ones will be shown.`);
    } catch {
      // there is no connection, as the page says above
    } finally {
      this.busy = false;
      if (key !== this.key) this.ask();
    }
  }

  show(lines) {
    if (!lines.length) return;
    const { target } = this, { label } = this.schema;
    const ahead = label ? 0 : Number(/@\+(\d+)$/.exec(target)?.[1] ?? 0);
    const part = (value) => (value !== null && typeof value === "object" ? value[target] ?? null : value ?? null);
    let place = part;
    if (label) place = this.placesOf(lines);
    const total = lines.length + ahead, shown = Math.floor(this.chart.size().width / ROOM);
    const empty = () => new Array(total).fill(null);
    const [truth, said, low, high, alarms] = [empty(), empty(), empty(), empty(), new Set()];
    lines.forEach((line, index) => {
      truth[index] = place(line.value);
      said[index + ahead] = place(line.prediction);
      low[index + ahead] = part(line.lower);
      high[index + ahead] = part(line.upper);
      if (line.alarm) alarms.add(index - lines.length + 1);
    });
    const places = Array.from({ length: total }, (none, index) => index - lines.length + 1);
    this.alarms = alarms;
    at("band-name").hidden = low.every((value) => value === null);
    at("alarm-name").hidden = !alarms.size;
    at("forecast-legend").className = label ? "legend dots" : "legend";
    this.last = lines.at(-1);
    this.chart.set([places, truth, said, low, high].map((column) => column.slice(-Math.max(LEAST, shown))));
    this.read(null);
  }

  // A number for each class, in the order of their names.
  placesOf(lines) {
    const known = new Set(this.classes ?? []);
    for (const name of lines.flatMap(({ prediction, value }) => [prediction, value])) if (name != null) known.add(name);
    if (known.size !== this.classes?.length) {
      this.classes = [...known].sort(inOrder);
      this.chart.drop();
    }
    return (name) => (name == null ? null : this.classes.indexOf(name));
  }

  // Says what is pointed at; otherwise the last one.
  read(index) {
    const { last } = this, { data } = this.chart;
    if (!data || !last) return;
    const word = (value) => (value === null ? "none" : this.classes ? this.classes[value] : number(value));
    const [places, truth, said, low, high] = data, place = index ?? places.length - 1;
    const bounds = low[place] === null ? "" : ` (${word(low[place])} to ${word(high[place])})`;
    const by = last.version === undefined ? "" : `, by version ${count(last.version)}`;
    const text = index == null ? `record ${count(last.record)}: forecast ${word(said[place])}${bounds}${by}`
      : `${records(places[place])}: truth ${word(truth[place])}, forecast ${word(said[place])}${bounds}`;
    say(at("forecast-read"), text);
  }

  options(series, more) {
    return {
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      padding: [8, 20, 0, 0],
      series: [{}, ...series],
      hooks: { draw: [(plot) => this.drawMarks(plot)], setCursor: [({ cursor }) => this.read(cursor.idx)] },
      ...more,
    };
  }

  ofNumbers() {
    const bound = { stroke: "transparent", width: 0, points: { show: false } };
    return this.options([
      { stroke: colour("ink"), width: 1.5, points: { show: true, size: 5, fill: colour("ink") } },
      { stroke: colour("said"), width: 2, points: { show: false } }, bound, bound,
    ], {
      scales: { x: { time: false, range: some }, y: { range: (plot, low, high) => within(low, high) } },
      axes: [byRecord(), axis({ size: 54, values })],
      bands: [{ series: [4, 3], fill: colour("band") }],
    });
  }

  ofClasses() {
    const { classes } = this, none = { show: false };
    const wide = 16 + 7 * Math.min(14, Math.max(...classes.map((name) => name.length)));
    const short = (name) => (name.length > 14 ? `${name.slice(0, 13)}…` : name);
    return this.options([
      { stroke: colour("ink"), paths: () => null, points: { show: true, size: 5, fill: colour("ink") } },
      { stroke: colour("said"), paths: () => null, points: { show: true, size: 11, width: 2, fill: "transparent" } },
      none, none,
    ], {
      scales: { x: { time: false, range: some }, y: { range: [-0.5, classes.length - 0.5] } },
      axes: [byRecord(), axis({
        size: wide, splits: () => classes.map((name, index) => index), values: () => classes.map(short),
      })],
    });
  }

  drawMarks(plot) {
    const { ctx, bbox, data } = plot, now = plot.valToPos(0, "x", true);
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    ctx.strokeStyle = colour("soft");
    ctx.beginPath();
    ctx.moveTo(now, bbox.top);
    ctx.lineTo(now, bbox.top + bbox.height);
    ctx.stroke();
    ctx.strokeStyle = colour("alarm");
    ctx.lineWidth = 2 * devicePixelRatio;
    data[0].forEach((place, index) => {
      if (!this.alarms.has(place) || data[1][index] === null) return;
      ctx.beginPath();
      ctx.arc(plot.valToPos(place, "x", true), plot.valToPos(data[1][index], "y", true), 6 * devicePixelRatio, 0, 7);
      ctx.stroke();
    });
    ctx.restore();
  }
}

// The records that are in sight, also those that are still to come.
const some = (plot, low, high) => [Math.min(low, 1 - LEAST), high];

const inOrder = new Intl.Collator("en", { numeric: true }).compare;

const records = (place) => (place === 0 ? "last record" : place < 0 ? `${count(-place)} records ago`
  : `${count(place)} records ahead`);

function byRecord() {
  const word = (place) => (place === 0 ? "now" : place < 0 ? `${-place} ago` : `+${place}`);
  return axis({
    incrs: [1, 2, 5, 10, 20, 50, 100, 200], space: 60, size: 26, values: (plot, splits) => splits.map(word),
  });
}
