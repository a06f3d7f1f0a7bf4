// What the curves are drawn from: columns over time, thinned by half whenever they are full.

const MOST = 1200;

export class History {
  constructor() {
    this.clear();
  }

  clear() {
    this.columns = { seconds: [] };
    this.weights = [];
    this.every = 0; // seconds between two points
  }

  get length() {
    return this.weights.length;
  }

  column(name) {
    return (this.columns[name] ??= new Array(this.length).fill(null));
  }

  // Takes what came before this page, as /history says it: columns of one length, among them the seconds.
  preload(found) {
    const { seconds } = found;
    if (!Array.isArray(seconds) || !seconds.length) return;
    const later = this.columns;
    this.clear();
    const names = Object.keys(found).filter((name) => found[name]?.length === seconds.length);
    const points = (columns, names, from) => columns.seconds.forEach((second, index) => {
      if (second > from) this.add(Object.fromEntries(names.map((name) => [name, columns[name][index]])));
    });
    points(found, names, -Infinity);
    points(later, Object.keys(later), seconds.at(-1));
  }

  // Adds a point, an object of numbers by column; a time before the last one is of another run.
  add(point) {
    const { seconds } = this.columns, last = this.length - 1;
    if (last >= 0 && point.seconds < seconds[last]) this.clear();
    if (this.length && point.seconds - this.columns.seconds[Math.max(0, this.length - 2)] < this.every) {
      this.mix(this.length - 1, point);
      return;
    }
    for (const name of Object.keys(point)) this.column(name);
    for (const [name, column] of Object.entries(this.columns)) column.push(point[name] ?? null);
    this.weights.push(1);
    if (this.length >= MOST) this.thin();
  }

  // The mean of a point and one more; the time is that of the later one.
  mix(index, point, weight = 1) {
    const before = this.weights[index];
    for (const name of Object.keys(point)) this.column(name);
    for (const [name, column] of Object.entries(this.columns)) {
      const [old, value] = [column[index], point[name] ?? null];
      if (name === "seconds" || name === "step" || old === null) column[index] = value ?? old;
      else if (value !== null) column[index] = (old * before + value * weight) / (before + weight);
    }
    this.weights[index] += weight;
  }

  thin() {
    const { columns, weights } = this;
    this.columns = Object.fromEntries(Object.keys(columns).map((name) => [name, []]));
    this.weights = [];
    weights.forEach((weight, index) => {
      const point = Object.fromEntries(Object.keys(columns).map((name) => [name, columns[name][index]]));
      if (index % 2) {
        this.mix(this.length - 1, point, weight);
      } else {
        for (const [name, column] of Object.entries(this.columns)) column.push(point[name]);
        this.weights.push(weight);
      }
    });
    const { seconds } = this.columns;
    this.every = (seconds.at(-1) - seconds[0]) / this.length;
  }
}
