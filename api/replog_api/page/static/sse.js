/** Server-Sent Events as text: lines become events. Pure. */

/** @typedef {{id: string, kind: string, data: string}} SentEvent */

export class SentEvents {
  constructor() {
    this.rest = "";
    this.lastId = "";
    this.kind = "";
    /** @type {string[]} */
    this.data = [];
  }

  /**
   * The events that end in `text`, which goes on where the last one ended.
   *
   * @param {string} text
   * @returns {SentEvent[]}
   */
  take(text) {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    /** @type {SentEvent[]} */
    const found = [];
    for (const line of lines) {
      if (line === "") this.end(found);
      else this.field(line);
    }
    return found;
  }

  /** @param {string} line */
  field(line) {
    const colon = line.indexOf(":");
    // A comment keeps the connection alive.
    if (colon <= 0) return;
    const value = line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    const name = line.slice(0, colon);
    if (name === "id") this.lastId = value;
    if (name === "event") this.kind = value;
    if (name === "data") this.data.push(value);
  }

  /** @param {SentEvent[]} found */
  end(found) {
    if (this.data.length) found.push({ id: this.lastId, kind: this.kind || "message", data: this.data.join("\n") });
    this.kind = "";
    this.data = [];
  }
}
