// Long-running tasks and their progress. Thousands of events may arrive within a second, so they are
// counted on arrival and drawn once a frame.

import { byId, el, Rows } from "./dom.js";
import * as format from "./format.js";

const MAX_TASKS = 50;
const MAX_ROWS = 20;
const RATED_FROM = 100; // steps: a rate over fewer says nothing
const SHORTEST_SECONDS = 0.2;
const MARKS = 20; // reports the rate covers: few, so that a resumed run soon has its new rate

const range = (values) => Math.max(...values) - Math.min(...values);

export class Tasks {
  constructor() {
    this.tasks = new Map();
    this.changed = new Set();
    this.count = 0;
    this.rows = new Rows(byId("tasks"), MAX_ROWS, (task) => this.draw(task));
  }

  add(kind, data, { replayed }) {
    const id = data.task_id;
    this.count += 1;
    const task = this.tasks.get(id) ?? {
      id,
      name: id,
      done: 0,
      total: 0,
      stocks: 0,
      marks: [],
      fresh: !replayed,
      order: this.count,
    };
    if (kind === "StockIndicatorsCompleted") this.addStock(task, data);
    else if (kind === "TaskProgressed") this.addProgress(task, data);
    else Object.assign(task, data, { ended: true });
    this.tasks.set(id, task);
    this.changed.add(id);
    if (this.tasks.size > MAX_TASKS) this.forget(this.tasks.keys().next().value);
  }

  addStock(task, { symbol }) {
    task.stocks += 1;
    if (!task.ended) task.message = symbol;
  }

  addProgress(task, { name, done, total, message, timestamp }) {
    task.marks = [...task.marks, { done, at: Date.parse(timestamp) / 1000 }].slice(-MARKS);
    Object.assign(task, { name, done: Math.max(task.done, done), total });
    if (!task.ended && message) task.message = message;
  }

  forget(id) {
    this.tasks.delete(id);
    this.changed.delete(id);
  }

  /** Draw what changed since the last time; called once a frame. */
  render() {
    for (const id of this.changed) {
      const task = this.tasks.get(id);
      if (!task) continue; // removed by another task of this frame
      this.makeRoom(task);
      this.rows.put(id, task, { fresh: task.fresh });
    }
    this.changed.clear();
  }

  /** Of a task that repeats, such as a refresh every few minutes, only the last run is shown. */
  makeRoom(task) {
    for (const [id, other] of this.tasks) {
      if (other.name === task.name && other.ended && id !== task.id && other.order < task.order) {
        this.tasks.delete(id);
        if (this.rows.nodes.has(id)) this.rows.drop(id);
      }
    }
  }

  draw(task) {
    const failed = task.ended && task.succeeded === false;
    const done = Math.min(Math.max(task.done, task.stocks), task.total || Infinity);
    const head = [
      el("b", { className: "strong", textContent: task.name }),
      el("span", {
        className: failed ? "down" : "dim",
        textContent: this.summary(task, done, failed),
      }),
    ];
    const notes = [this.pace(task, done), task.message].filter(Boolean).join(" · ");
    const kind = `${task.ended ? "verdict" : "pace"} ${failed ? "down" : "dim"}`;
    return el(
      "li",
      { title: `${task.id} ${task.message ?? ""}` },
      ...head,
      this.bar(task, done, failed),
      notes ? el("p", { className: kind, textContent: notes }) : null,
    );
  }

  bar(task, done, failed) {
    const succeeded = task.ended && !failed;
    const max = task.total || 1; // of a task that names no total the bar is full or empty
    return el("progress", {
      className: failed ? "failed" : succeeded ? "done" : "",
      max,
      value: succeeded ? max : done,
      attrs: { "aria-label": task.name },
    });
  }

  summary(task, done, failed) {
    const steps = `${format.whole(done)} of ${format.whole(task.total)}`;
    if (!task.ended)
      return task.total
        ? `${steps} · ${Math.floor((100 * done) / task.total)}%`
        : `${format.whole(done)} done`;
    const took = `${task.duration_seconds?.toFixed(1) ?? "–"} s`;
    if (failed)
      return task.total >= RATED_FROM ? `${steps}, failed after ${took}` : `failed in ${took}`;
    return task.total >= RATED_FROM ? `${format.whole(task.total)} in ${took}` : `done in ${took}`;
  }

  /** Steps per second, and the time left at that rate. */
  pace(task, done) {
    if (task.total < RATED_FROM) return "";
    if (task.ended)
      return task.duration_seconds > 0
        ? `${format.rate(done / task.duration_seconds)} a second`
        : "";
    const seconds = range(task.marks.map(({ at }) => at));
    const steps = range(task.marks.map((mark) => mark.done));
    if (seconds < SHORTEST_SECONDS || steps <= 0) return "";
    const left = Math.ceil(((task.total - done) * seconds) / steps);
    return `${format.rate(steps / seconds)} a second · ${format.span(left)} left`;
  }
}
