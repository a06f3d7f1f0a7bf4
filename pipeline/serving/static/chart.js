// A chart of uPlot in a place of the page: it follows the width and the colours, and rests while nobody looks.

import { clock, make, number, percent, tick } from "./text.js";

const TIMES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800];
const DARK = matchMedia("(prefers-color-scheme: dark)");
const FONT = "12px system-ui, sans-serif";

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export class Chart {
  // `options()` gives those of uPlot but the size; it is asked again when the colours change.
  constructor(host, options) {
    this.host = host;
    this.options = options;
    this.plot = null;
    this.data = null;
    DARK.addEventListener("change", () => this.renew());
    document.addEventListener("visibilitychange", () => this.draw());
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(host);
  }

  size() {
    return { width: this.host.clientWidth, height: this.host.clientHeight };
  }

  // Shows the data.
  set(data) {
    this.data = data;
    this.draw();
  }

  // Says why there is nothing to show.
  note(text) {
    this.data = null;
    this.drop();
    const found = this.host.firstElementChild ?? this.host.appendChild(make("p", "note"));
    if (found.textContent !== text) found.textContent = text;
  }

  // Makes it anew with other options.
  renew() {
    this.drop();
    this.draw();
  }

  drop() {
    this.plot?.destroy();
    this.plot = null;
  }

  draw() {
    if (this.data === null || document.hidden || !this.host.clientWidth) return;
    if (this.plot === null) {
      this.host.replaceChildren();
      this.plot = new uPlot({ ...this.size(), ...this.options() }, this.data, this.host);
    } else {
      this.plot.setData(this.data);
    }
  }
}

export function axis(more = {}) {
  return {
    stroke: colour("soft"), font: FONT, grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, gap: 4,
    ...more,
  };
}

// Of a vertical axis; its steps are 1, 2, 2.5 or 5 times a power of ten.
export const values = (plot, splits, place, space, step) => splits.map((value) => tick(value, step));

// Lines over the time of the run, each {name, colour, width}. marks() gives times; said() is told the values.
// Shares are said in per cent.
export function curves(lines, marks, said, share = false) {
  const word = (value) => (share ? percent(value, 1) : number(value));
  const inPercent = (plot, splits, place, space, step) => splits.map((value) => `${tick(100 * value, 100 * step)} %`);
  const read = ({ cursor, data }) => {
    const place = cursor.idx ?? data[0].length - 1, when = cursor.idx == null ? "now" : `at ${clock(data[0][place])}`;
    said(`${when}: ${lines.map(({ name }, index) => `${name} ${word(data[index + 1][place])}`).join(", ")}`);
  };
  const longest = Math.max(...lines.map(({ name }) => name.length));
  return {
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    padding: [8, 14 + 7 * longest, 0, 0],
    scales: { x: { time: false }, y: { range: (plot, low, high) => within(low, high) } },
    axes: [
      axis({ incrs: TIMES, space: 70, size: 26, values: (plot, splits) => splits.map(clock) }),
      axis({ size: 54, values: share ? inPercent : values }),
    ],
    series: [{}, ...lines.map((line) => ({
      label: line.name, stroke: colour(line.colour), width: line.width ?? 2, points: { show: false }, spanGaps: true,
    }))],
    hooks: {
      drawAxes: [(plot) => drawMarks(plot, marks())],
      draw: [drawNames, read],
      setCursor: [read],
    },
  };
}

// A range that leaves some room, also around a line that is level.
export function within(low, high) {
  if (low === null || high === null) return [0, 1];
  const room = 0.08 * (high - low) || 0.05 * Math.abs(high) || 1;
  return [low - room, high + room];
}

function drawMarks(plot, times) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour("alarm");
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.lineWidth = devicePixelRatio;
  for (const time of times) {
    const x = plot.valToPos(time, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

// The name of each line at its end, not above one another.
function drawNames(plot) {
  const { ctx, bbox } = plot, height = 14 * devicePixelRatio, ends = [];
  plot.series.forEach((series, index) => {
    const last = index ? plot.data[index].findLast((value) => value !== null) : undefined;
    if (last !== undefined) ends.push({ text: series.label, fill: series.stroke(), y: plot.valToPos(last, "y", true) });
  });
  ends.sort((one, other) => one.y - other.y);
  ends.forEach((end, index) => {
    if (index) end.y = Math.max(end.y, ends[index - 1].y + height);
  });
  ctx.save();
  ctx.font = `600 ${12 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (const { text, fill, y } of ends) {
    ctx.fillStyle = fill;
    ctx.fillText(text, bbox.left + bbox.width + 6 * devicePixelRatio, y);
  }
  ctx.restore();
}
